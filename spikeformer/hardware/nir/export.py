"""Spike graphs as NIR files, which other frameworks read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from spikeformer.error_handling import (
    HardwareCompatibilityError,
    MissingDependencyError,
    check_positive,
)
from spikeformer.files import replacing
from spikeformer.hardware.ir.graph import Population, SpikeGraph
from spikeformer.hardware.ir.operators import Array, Operator

MAX_WEIGHTS = 50_000_000
"""NIR has no dense layer for every token, so weights are written as full matrices."""


def export_nir(graph: SpikeGraph, path: str | Path, *, dt: float = 1e-3) -> None:
    """Write a graph in the Neuromorphic Intermediate Representation (HDF5).

    NIR states neurons in continuous time, `tau dv/dt = v_leak - v + r I`, and readers integrate by
    Euler steps of dt. A population with decay b and threshold theta becomes a `LIF` with::

        tau = dt / (1 - b),   r = 1,   v_leak = v_reset = 0,   v_threshold = (1 - b) theta

    whose Euler step is the population's own, `v <- b v + (1 - b) I`, with v in parts of 1/(1 - b);
    one without a leak an `IF` with `r = 1 / dt`.
    NIR's neurons fire above the threshold, so the number just below is written. Projections become
    `Linear` or `Affine` nodes; delays are left out, since readers run layer after layer. The
    readout is a node too: its mean over time is the network's output.

    Args:
        graph: The graph.
        path: File to write, such as "network.nir".
        dt: Step in seconds that the reader will take; 1 ms is Norse's.

    Raises:
        HardwareCompatibilityError: NIR cannot express the graph; the message says what.
        MissingDependencyError: The package `nir` is not installed.

    Source:
        Pedersen et al., 2024, doi:10.1038/s41467-024-52259-9.

    Example:
        ```python
        export_nir(lower(net, (1, 8, 8)).graph, "network.nir")
        ```
    """
    nir = nir_package()
    check_positive("dt", dt)
    _check(graph)
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    numbered: dict[str, str] = {}
    for name, node, sources in _nodes(graph, nir, dt):
        # Files hold nodes by alphabet, and readers take those that come too early for loops.
        numbered[name] = f"n{len(nodes):04d}_{name}"
        nodes[numbered[name]] = node
        edges += [(numbered[source], numbered[name]) for source in sources]
    network = nir.NIRGraph(nodes=nodes, edges=edges)
    with replacing(Path(path)) as temporary:
        nir.write(temporary, network)


def node_name(population: str) -> str:
    """Return the name of a population's node: readers make attributes of names."""
    return population.replace(".", "__")


def nir_package() -> ModuleType:
    """Return the package `nir`, or say how to install it."""
    try:
        import nir
    except ImportError as error:
        raise MissingDependencyError(
            "Expected the package 'nir' to be installed for NIR files: python -m pip install nir."
        ) from error
    module: ModuleType = nir
    return module


def _check(graph: SpikeGraph) -> None:
    sources = [source.name for source in graph.sources]
    if len(sources) != 1:
        raise HardwareCompatibilityError(
            f"NIR files hold one input, but this graph has {len(sources)}: {', '.join(sources)}. "
            "encoding=delta makes two of them, and a padding mask is one of its own."
        )
    for population in graph.neurons:
        if population.bias is not None and not graph.incoming(population.name):
            raise HardwareCompatibilityError(
                f"Layer {population.name!r} has a bias and no input, which NIR cannot express."
            )
    if graph.lag:
        raise HardwareCompatibilityError(
            "NIR files are written without delays, but synapses of this network have some."
        )
    graded = next((p.name for p in graph.neurons if p.graded), None)
    if graded is not None:
        raise HardwareCompatibilityError(
            f"{graded} sends graded spikes, which NIR cannot express. Train with neuron=lif_hard."
        )
    weights = sum(int(np.prod(p.operator.shape)) for p in graph.projections)
    if weights > MAX_WEIGHTS:
        raise HardwareCompatibilityError(
            f"As full matrices the weights of this graph would be {weights:,} numbers, but NIR "
            f"files are written up to {MAX_WEIGHTS:,}. Use fewer tokens or channels."
        )


def _nodes(graph: SpikeGraph, nir: ModuleType, dt: float) -> Iterator[tuple[str, Any, list[str]]]:
    """Yield name, node and the names of the nodes that lead to it."""
    (source,) = graph.sources
    yield "input", nir.Input(input_type=np.array([source.size])), []
    names = {source.name: "input"}
    for population in graph.neurons:
        names[population.name] = name = node_name(population.name)
        leading = []
        bias = population.bias
        for number, projection in enumerate(graph.incoming(population.name)):
            leading.append(f"{name}_weights{number}")
            yield (
                leading[-1],
                _linear(nir, projection.operator, bias),
                [names[projection.source]],
            )
            bias = None  # once is enough
        yield name, _neurons(nir, population, dt), leading
    last = names[graph.neurons[-1].name]
    size = graph.neurons[-1].size
    if graph.readout is not None:
        size = int(np.prod(graph.readout.shape))
        terms = graph.readout.terms
        for number, (population_name, operator) in enumerate(terms):
            bias = graph.readout.bias if number == 0 else None
            yield f"readout_weights{number}", _linear(nir, operator, bias), [names[population_name]]
        # An output takes one edge; what has several ends in a node that adds them up.
        leading = [f"readout_weights{number}" for number in range(len(terms))]
        last = "readout"
        yield last, nir.Linear(weight=np.eye(size)), leading
    yield "output", nir.Output(output_type=np.array([size])), [last]


def _linear(nir: ModuleType, operator: Operator, bias: Array | None) -> Any:
    weights = operator.matrix().toarray()
    if bias is None:
        return nir.Linear(weight=weights)
    return nir.Affine(weight=weights, bias=np.asarray(bias))


def _neurons(nir: ModuleType, population: Population, dt: float) -> Any:
    ones = np.ones(population.size)
    left = 1.0 - population.decay
    if left == 0:
        threshold = np.nextafter(population.threshold, -np.inf)
        return nir.IF(r=ones / dt, v_threshold=ones * threshold, v_reset=ones * 0.0)
    threshold = np.nextafter(population.threshold * left, -np.inf)
    return nir.LIF(
        tau=ones * dt / left,
        r=ones,
        v_leak=ones * 0.0,
        v_threshold=ones * threshold,
        v_reset=ones * 0.0,
    )
