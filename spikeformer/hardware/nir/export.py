"""Spike graphs as NIR files, which other frameworks read."""

from __future__ import annotations

from collections.abc import Sequence
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
from spikeformer.hardware.ir.firing import packing_base
from spikeformer.hardware.ir.graph import Population, Projection, SpikeGraph
from spikeformer.hardware.ir.hosted import HostedGraph
from spikeformer.hardware.ir.operators import Array, Convolution, Operator
from spikeformer.i18n import t

MAX_WEIGHTS = 50_000_000
"""NIR has no dense layer for every token, so weights are written as full matrices."""


def export_nir(graph: SpikeGraph, path: str | Path, *, dt: float = 1e-3) -> None:
    """Write a graph in the Neuromorphic Intermediate Representation (HDF5).

    NIR states neurons in continuous time, `tau dv/dt = v_leak - v + r I`, and readers integrate by
    Euler steps of dt. A population with decay b and threshold theta becomes a `LIF` with::

        tau = dt / (1 - b),   r = 1,   v_leak = v_reset = 0,   v_threshold = (1 - b) theta

    whose Euler step is the population's own, `v <- b v + (1 - b) I`, with v in parts of 1/(1 - b);
    one without a leak an `IF` with `r = 1 / dt`; one whose currents last with decay a a `CubaLIF`
    with `tau_syn = dt / (1 - a)`, `w_in = tau_syn / dt`, `r = tau_mem / dt`, `v_threshold = theta`.
    NIR's neurons fire above the threshold, so the number just below is written.

    Convolutions between populations of that shape become `Conv2d`, other projections `Linear` or
    `Affine`, and a lag of k steps a `Delay` of `k dt`. The chip's delays, which keep its pipeline
    in step, are left out, since readers run layer after layer. Integer neurons of D levels become
    a membrane (`LI` or `I`), D nodes `Threshold` that fire at its levels, and a loop that takes off
    what was sent; the minimum of two counts becomes D coincidences. The readout is a node too: its
    mean over time is the network's output. Late fusion gives an output for each modality, which the
    host averages (`spikeformer.fusion.confidence_weights`).

    The file says `dt` in its metadata, where `import_nir` finds it.

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
    network = _Writer(nir, graph, dt).network()
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
    if isinstance(graph, HostedGraph):
        raise HardwareCompatibilityError(t("hardware.nir_host"))
    if graph.readout is not None and graph.readout.mask is not None:
        raise HardwareCompatibilityError(t("hardware.nir_padding"))
    for population in graph.neurons:
        if population.bias is not None and not graph.incoming(population.name):
            raise HardwareCompatibilityError(
                f"Layer {population.name!r} has a bias and no input, which NIR cannot express."
            )
        if population.current_decay and population.decay == 1:
            raise HardwareCompatibilityError(t("hardware.nir_no_leak", layer=population.name))
    images = _images(graph)
    weights = sum(
        p.operator.weights.size
        if p.target in images
        else int(np.prod(p.operator.shape)) * _copies(graph.populations[p.target])
        for p in graph.projections
    )
    if weights > MAX_WEIGHTS:
        raise HardwareCompatibilityError(
            f"As full matrices the weights of this graph would be {weights:,} numbers, but NIR "
            f"files are written up to {MAX_WEIGHTS:,}. Use fewer tokens or channels."
        )


def _copies(target: Population) -> int:
    """Return how often the weights into a population are written."""
    return target.levels if target.rule == "minimum" else 1


class _Writer:
    """The nodes of a file in the making.

    Args:
        nir: The package.
        graph: The graph.
        dt: The reader's step in seconds.
    """

    def __init__(self, nir: ModuleType, graph: SpikeGraph, dt: float) -> None:
        self._nir, self._graph, self._dt = nir, graph, dt
        self._nodes: dict[str, Any] = {}
        self._edges: list[tuple[str, str]] = []
        self._images = _images(graph)
        self._flat: dict[str, str] = {}
        # The nodes that send a population's spikes: for counts, one for each level, least first.
        self._units: dict[str, list[str]] = {}

    def network(self) -> Any:
        """Return the whole graph."""
        sources = self._graph.sources
        for source in sources:
            shape = source.shape if source.name in self._images else (source.size,)
            name = "input" if len(sources) == 1 else node_name(source.name)
            node = self._nir.Input(input_type=np.array(shape))
            self._units[source.name] = [self._add(name, node)]
        for population in self._graph.neurons:
            makers = {"count": self._count, "minimum": self._minimum}
            self._units[population.name] = makers.get(population.rule, self._fire)(population)
        self._outputs()
        metadata = {"dt": self._dt}
        return self._nir.NIRGraph(nodes=self._nodes, edges=self._edges, metadata=metadata)

    def _add(self, name: str, node: Any, sources: Sequence[str] = ()) -> str:
        """Add a node behind others; return what it is called."""
        # Files hold nodes by alphabet, and readers take those that come too early for loops.
        numbered = f"n{len(self._nodes):04d}_{name}"
        self._nodes[numbered] = node
        self._edges += [(source, numbered) for source in sources]
        return numbered

    def _fire(self, population: Population) -> list[str]:
        name = node_name(population.name)
        return [self._add(name, self._neurons(population), self._arriving(population))]

    def _arriving(self, population: Population) -> list[str]:
        """Add the weights into a population; return the nodes that give its currents."""
        found: list[str] = []
        bias = population.bias
        for number, projection in enumerate(self._graph.incoming(population.name)):
            name = f"{node_name(population.name)}_weights{number}"
            node, sources = self._weights(name, projection, bias)
            found.append(self._add(name, node, sources))
            bias = None  # once is enough
        return found

    def _weights(
        self, name: str, projection: Projection, bias: Array | None
    ) -> tuple[Any, list[str]]:
        """Return the node of a projection, and the nodes before it."""
        if projection.target in self._images:
            assert isinstance(projection.operator, Convolution)
            sources = self._late(name, projection, self._units[projection.source])
            return self._convolution(projection.operator, bias), sources
        sources = self._late(name, projection, self._flattened(projection.source))
        return self._linear(projection.operator.matrix().toarray(), bias), sources

    def _flattened(self, name: str) -> list[str]:
        """Return the nodes that send a population's spikes in a row."""
        if name not in self._images:
            return self._units[name]
        if name not in self._flat:
            shape = {"input": np.array(self._graph.populations[name].shape)}
            node = self._nir.Flatten(shape, start_dim=0, end_dim=-1)
            self._flat[name] = self._add(f"{node_name(name)}_flat", node, self._units[name])
        return [self._flat[name]]

    def _late(self, name: str, projection: Projection, sources: list[str]) -> list[str]:
        """Return nodes that send what others do so many steps later as a projection takes."""
        if not projection.lag:
            return sources
        source = self._graph.populations[projection.source]
        image = projection.target in self._images
        delay = np.full(source.shape if image else (source.size,), projection.lag * self._dt)
        return [self._add(f"{name}_delay", self._nir.Delay(delay), sources)]

    def _linear(self, weights: Array, bias: Array | None = None) -> Any:
        if bias is None:
            return self._nir.Linear(weight=weights)
        return self._nir.Affine(weight=weights, bias=np.asarray(bias))

    def _convolution(self, operator: Convolution, bias: Array | None) -> Any:
        channels = len(operator.weights)
        each = np.zeros(channels) if bias is None else bias.reshape(channels, -1)[:, 0]
        image, stride, padding = operator.image[1:], operator.stride, operator.padding
        weights = _ungrouped(operator)
        return self._nir.Conv2d(image, weights, stride, padding, (1, 1), 1, each)

    def _neurons(self, population: Population) -> Any:
        image = population.name in self._images
        ones = np.ones(population.shape if image else (population.size,))
        zeros = 0.0 * ones
        left = 1.0 - population.decay
        if left == 0:
            threshold = ones * _below(population.threshold)
            return self._nir.IF(r=ones / self._dt, v_threshold=threshold, v_reset=zeros)
        rest = {"v_leak": zeros, "v_reset": zeros}
        if not population.current_decay:
            threshold = ones * _below(population.threshold * left)
            tau = ones * self._dt / left
            return self._nir.LIF(tau=tau, r=ones, v_threshold=threshold, **rest)
        lasting = 1.0 - population.current_decay
        return self._nir.CubaLIF(
            tau_syn=ones * self._dt / lasting,
            tau_mem=ones * self._dt / left,
            # In steps of dt they are 1; snnTorch reads no others.
            w_in=ones / lasting,
            r=ones / left,
            v_threshold=ones * _below(population.threshold),
            **rest,
        )

    def _count(self, population: Population) -> list[str]:
        """Add neurons that count: a membrane, its levels, and what they take off a step later."""
        name, ones = node_name(population.name), np.ones(population.size)
        left, unit = 1.0 - population.decay, population.threshold
        if left == 0:
            membrane = self._nir.I(r=ones / self._dt)
        else:
            membrane = self._nir.LI(tau=ones * self._dt / left, r=ones, v_leak=0.0 * ones)
        scale = left or 1.0
        integrated = self._add(f"{name}_membrane", membrane, self._arriving(population))
        units = []
        for level in range(population.levels):
            # Ties are rounded to the even number: up at the odd levels, counted from 0.
            threshold = (level + 0.5) * unit * scale
            threshold = _below(threshold) if level % 2 else threshold
            node = self._nir.Threshold(ones * threshold)
            units.append(self._add(f"{name}_level{level + 1}", node, [integrated]))
        if population.decay:
            sent = self._nir.Scale(-population.decay * unit * ones)
            self._edges.append((self._add(f"{name}_reset", sent, units), integrated))
        return units

    def _minimum(self, population: Population) -> list[str]:
        """Add the minimum of two counts: one coincidence for each level of both."""
        name, base = node_name(population.name), packing_base(population.levels)
        incoming = self._graph.incoming(population.name)
        # Two packed counts, both of weight 1 here.
        matrices = [
            np.add(*np.divmod(np.rint(p.operator.matrix().toarray()), base)) for p in incoming
        ]
        units = []
        for level in range(population.levels):
            arriving = []
            unit = f"{name}_level{level + 1}"
            for number, (projection, weights) in enumerate(zip(incoming, matrices, strict=True)):
                sources = [self._units[projection.source][level]]
                leading = f"{unit}_weights{number}"
                sources = self._late(leading, projection, sources)
                arriving.append(self._add(leading, self._linear(weights), sources))
            node = self._nir.Threshold(np.full(population.size, 1.5))
            units.append(self._add(unit, node, arriving))
        return units

    def _outputs(self) -> None:
        readout = self._graph.readout
        if readout is None:
            last = self._graph.neurons[-1]
            summed = self._flattened(last.name)
            if len(summed) > 1:  # an output takes one edge
                summed = [self._add("readout", self._linear(np.eye(last.size)), summed)]
            self._add("output", self._nir.Output(output_type=np.array([last.size])), summed)
            return
        size = len(readout.bias) // readout.branches
        for branch in range(readout.branches):
            suffix = str(branch) if readout.branches > 1 else ""
            rows = slice(branch * size, (branch + 1) * size)
            leading = [
                self._add(
                    f"readout{suffix}_weights{number}",
                    self._readout(operator, rows, readout.bias if number == 0 else None),
                    self._flattened(population),
                )
                for number, (population, operator) in enumerate(readout.terms)
            ]
            # An output takes one edge; what has several ends in a node that adds them up.
            last_name = self._add(f"readout{suffix}", self._linear(np.eye(size)), leading)
            output = self._nir.Output(output_type=np.array([size]))
            self._add(f"output{suffix}", output, [last_name])

    def _readout(self, operator: Operator, rows: slice, bias: Array | None) -> Any:
        weights = operator.matrix().toarray()[rows]
        return self._linear(weights, None if bias is None else bias[rows])


def _ungrouped(operator: Convolution) -> Array:
    """Return the weights with all channels of the image: nir 1.0.8 takes a group's for all."""
    out, into, *kernel = operator.weights.shape
    weights = np.zeros((out, into * operator.groups, *kernel))
    for group, rows in enumerate(np.split(np.arange(out), operator.groups)):
        weights[rows, group * into : (group + 1) * into] = operator.weights[rows]
    return weights


def _images(graph: SpikeGraph) -> set[str]:
    """Return the populations whose nodes have channels, rows and columns.

    Those that nothing but convolutions lead to, and the sources of these.
    """
    found: set[str] = set()
    for population in graph.neurons:
        incoming = graph.incoming(population.name)
        sources = [graph.populations[p.source] for p in incoming]
        fits = all(
            _convolves(projection, source, population)
            and (source.kind != "lif" or source.name in found)
            for projection, source in zip(incoming, sources, strict=True)
        )
        if incoming and fits and not population.graded and _by_channel(population):
            found.update(source.name for source in sources)
            found.add(population.name)
    return found


def _convolves(projection: Projection, source: Population, target: Population) -> bool:
    operator = projection.operator
    if not isinstance(operator, Convolution) or operator.tokens_out:
        return False
    shape = (len(operator.weights), *operator.grid)
    return source.shape == operator.image and target.shape == shape


def _by_channel(population: Population) -> bool:
    """Tell whether a bias is the same all over a channel."""
    if population.bias is None:
        return True
    channels = population.bias.reshape(population.shape[0], -1)
    return bool((channels == channels[:, :1]).all())


def _below(threshold: float) -> float:
    return float(np.nextafter(threshold, -np.inf))
