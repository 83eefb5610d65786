"""Coding: how neurons encode activations as spikes."""
