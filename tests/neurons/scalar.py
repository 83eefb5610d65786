"""Neurons in Python numbers, written from the equations in their docstrings."""

from __future__ import annotations

import torch


def lif(current, decay, threshold=1.0, reset="subtract", v=0.0, a=0.0, rho=0.0, beta=0.0):
    """One neuron: its spikes, its final membrane and its final adaptation."""
    spikes = []
    for i in current:
        u = decay * v + i - a
        s = 1.0 if u >= threshold else 0.0
        v = u - threshold * s if reset == "subtract" else u * (1 - s)
        a = rho * a + beta * s
        spikes.append(s)
    return spikes, v, a


def integer_lif(current, decay, threshold, max_spikes, v=0.0):
    """One integer neuron: its counts and its final membrane."""
    counts = []
    for i in current:
        u = decay * v + i
        n = round(min(max(u / threshold, 0), max_spikes))  # Python rounds half to even too
        v = u - threshold * n
        counts.append(n)
    return counts, v


def over_time(neuron, current):
    """Run `neuron(list of currents) -> spikes` on every feature of (batch, timesteps, ...)."""
    flat = current.flatten(2)
    spikes = torch.zeros_like(flat)
    for b in range(flat.shape[0]):
        for f in range(flat.shape[2]):
            spikes[b, :, f] = torch.tensor(neuron(flat[b, :, f].tolist()), dtype=flat.dtype)
    return spikes.view(current.shape)
