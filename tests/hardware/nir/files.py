"""NIR files and what their neurons do, written out."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from spikeformer.hardware import export_nir, import_nir

nir = pytest.importorskip("nir", reason="the extra `nir` is not installed")


def write(path, *nodes, outputs=3, dt=1e-3):
    """Write a chain of nodes between an input and an output, for timesteps of `dt` seconds."""
    names = [f"n{i}" for i in range(len(nodes))]
    chain = ["input", *names, "output"]
    size = nodes[0].input_type["input"]
    graph = nir.NIRGraph(
        {
            "input": nir.Input(input_type=np.array(size)),
            **dict(zip(names, nodes, strict=True)),
            "output": nir.Output(output_type=np.array([outputs])),
        },
        list(pairwise(chain)),
        type_check=False,
    )
    if dt is not None:
        graph.metadata["dt"] = dt
    nir.write(path, graph)
    return path


def lif(tau, size=3, *, r=1.0, leak=0.0, threshold=0.5, reset=0.0):
    ones = np.ones(size)
    return nir.LIF(
        tau=tau * ones,
        r=r * ones,
        v_leak=leak * ones,
        v_threshold=threshold * ones,
        v_reset=reset * ones,
    )


def cuba(tau_syn, tau_mem, size=3, *, w_in=1.0, r=1.0, leak=0.0, threshold=0.5, reset=0.0):
    ones = np.ones(size)
    return nir.CubaLIF(
        tau_syn=tau_syn * ones,
        tau_mem=tau_mem * ones,
        r=r * ones,
        v_leak=leak * ones,
        v_threshold=threshold * ones,
        v_reset=reset * ones,
        w_in=w_in * ones,
    )


def reread(graph, path, encoder=None, **settings):
    """Write a spike graph and read it back in float64."""
    export_nir(graph, path, **settings)
    torch.set_default_dtype(torch.float64)
    try:
        return import_nir(path, encoder).eval()
    finally:
        torch.set_default_dtype(torch.float32)


def trains(steps=8, size=3, batch=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(batch, steps, size, generator=generator) < 0.4).float()


def euler(x, decay, factor, leak, threshold=None):
    """What a neuron does, written out; without a threshold its membrane."""
    x = np.asarray(x, np.float64)
    membrane, found = np.zeros_like(x[:, 0]), []
    for t in range(x.shape[1]):
        membrane = decay * membrane + factor * x[:, t] + leak
        fired = membrane > np.inf if threshold is None else membrane > threshold
        found.append(membrane if threshold is None else fired)
        membrane = np.where(fired, 0.0, membrane)
    return np.stack(found, axis=1)
