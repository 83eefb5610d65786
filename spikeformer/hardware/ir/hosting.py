"""The graph of a converted network in files: what it has beside any other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from math import prod

import msgspec
import numpy as np

from spikeformer.hardware.ir import records
from spikeformer.hardware.ir.arrays import MAX_NEURON_STEPS, ArrayStore
from spikeformer.hardware.ir.differential import Scheme
from spikeformer.hardware.ir.functions import FUNCTIONS
from spikeformer.hardware.ir.graph import Array, Population, Projection, SpikeGraph
from spikeformer.hardware.ir.hosted import Differential, HostedGraph
from spikeformer.hardware.ir.runtime import ENCODE, RATE, HostOperation


def describe_hosted(graph: HostedGraph, store: ArrayStore) -> records.HostedRecord:
    """Store a graph's arrays and return its description."""
    scheme = graph.scheme
    return records.HostedRecord(
        records.SchemeRecord(scheme.levels, scheme.mantissa, scheme.leak),
        describe_populations(graph, store),
        [
            msgspec.convert(msgspec.to_builtins(asdict(f)), records.FunctionRecord)
            for f in graph.functions
        ],
        {name: store.put(array) for name, array in graph.constants.items()},
        graph.output,
    )


def describe_populations(
    graph: SpikeGraph, store: ArrayStore
) -> dict[str, records.DifferentialRecord]:
    """Store what a graph's differential populations have, if it has any."""
    return {
        p.name: records.DifferentialRecord(
            store.put(p.unit), store.put(p.start), store.put(p.scale), p.source, p.function
        )
        for p in graph.neurons
        if isinstance(p, Differential)
    }


def read_differential(
    population: Population, record: records.DifferentialRecord | None, store: ArrayStore
) -> Differential:
    """Return a population of differential neurons.

    Raises:
        ValueError: There is no description of it, or not such arrays.
    """
    if record is None:
        raise ValueError(f"nothing says how {population.name!r} encodes")
    given = {field.name: getattr(population, field.name) for field in fields(Population)}
    unit, start, scale = (store.get(x, 1) for x in (record.unit, record.start, record.scale))
    return Differential(
        **given,
        unit=unit,
        start=start,
        scale=scale,
        source=record.source,
        function=record.function,
    )


def read_hosted(record: records.HostedRecord, graph: SpikeGraph, store: ArrayStore) -> HostedGraph:
    """Return the graph of a converted network.

    Raises:
        ValueError: A function is none that the host has, or takes what is not there.
        HardwareCompatibilityError: What it describes is no such graph.
    """
    constants = {name: store.get(array, None) for name, array in record.constants.items()}
    functions = []
    for each in record.functions:
        if each.function not in (*FUNCTIONS, RATE, ENCODE):
            raise ValueError(f"the host has no function {each.function!r}")
        if prod(each.shape) > MAX_NEURON_STEPS:
            raise ValueError(f"{each.name!r} has the shape {each.shape}")
        function = HostOperation(**{f: getattr(each, f) for f in each.__struct_fields__})
        functions.append(replace(function, arguments=tuple(each.arguments)))
        if each.function == RATE:
            _check_rate(functions[-1], graph.populations, constants)
    scheme = Scheme(record.scheme.levels, record.scheme.mantissa, record.scheme.leak)
    if 1 << (scheme.levels + scheme.mantissa) > np.iinfo(np.int32).max:
        raise ValueError(f"{scheme.levels} levels are more than an event holds")
    shared = {field.name: getattr(graph, field.name) for field in fields(SpikeGraph)}
    return HostedGraph(
        **shared,
        scheme=scheme,
        functions=tuple(functions),
        constants=constants,
        output=record.output,
    )


def _check_rate(
    function: HostOperation, populations: Mapping[str, Population], constants: Mapping[str, Array]
) -> None:
    population = populations.get(str(next(iter(function.arguments), "")))
    size = 0 if population is None else population.size
    order, bias = (function.settings.get(key) for key in ("order", "bias"))
    named = [each for each in (order, bias) if each is not None]
    if any(not isinstance(each, str) or each not in constants for each in named):
        raise ValueError(f"{function.name!r} takes constants that are not there")
    places = np.arange(size) if order is None else constants[order]
    wrong = places.shape != (prod(function.shape),) or places.dtype.kind != "i"
    if wrong or not size or not 0 <= places.min(initial=0) <= places.max(initial=0) < size:
        raise ValueError(f"{function.name!r} reads neurons that are not there")
    if bias is not None and constants[bias].shape != (size,):
        raise ValueError(f"{function.name!r} has a bias of another size")


def read_integers(
    found: Mapping[str, records.DifferentialRecord],
    graph: HostedGraph,
    projections: tuple[Projection, ...],
    max_state: int,
    store: ArrayStore,
) -> HostedGraph:
    """Return a graph in integers.

    Raises:
        ValueError: A population's units are no integers, or too large.
    """
    populations: dict[str, Population] = dict(graph.populations)
    for p in graph.differential:
        whole = read_differential(p, found.get(p.name), store)
        for array in (whole.unit, whole.start):
            if array.dtype.kind != "i" or (np.abs(array) > max_state).any():
                raise ValueError(f"units of {p.name!r} are out of range")
        populations[p.name] = replace(whole, source=p.source)
    return replace(
        graph,
        populations=populations,
        projections=projections,
        scheme=replace(graph.scheme, max_state=max_state),
    )
