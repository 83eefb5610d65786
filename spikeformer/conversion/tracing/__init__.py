"""Tracing: what a network computes, and where its activations become spikes."""
