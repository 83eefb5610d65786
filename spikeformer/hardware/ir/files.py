"""Graphs and compiled networks as files: `graph.json` and `graph.npz`, nothing pickled.

What is read may come from a stranger. `records` says what `graph.json` may hold, and every array is
checked against it before a graph is made of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from spikeformer.encoding import ENCODERS, SpikeEncoder
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.files import file_hash, read_arrays, read_json, replacing, write_json
from spikeformer.hardware.ir import records
from spikeformer.hardware.ir.arrays import MAX_NEURON_STEPS, ArrayStore
from spikeformer.hardware.ir.graph import Array, Population, Projection, Readout, SpikeGraph
from spikeformer.hardware.ir.host import HostFunction, Lookup, Spectrogram
from spikeformer.hardware.ir.hosted import HostedGraph
from spikeformer.hardware.ir.hosting import (
    describe_hosted,
    describe_populations,
    read_differential,
    read_hosted,
    read_integers,
)
from spikeformer.hardware.ir.integers import IntegerGraph, IntegerNeurons, NumberFormat
from spikeformer.hardware.ir.operators import Operator
from spikeformer.i18n import t
from spikeformer.multimodal import LogMelFrames


def save_graph(
    folder: Path,
    graph: SpikeGraph,
    integers: IntegerGraph | None = None,
    encoder: SpikeEncoder | None = None,
    *,
    target: str = "",
    placement: dict[str, Any] | None = None,
    details: dict[str, Any] | None = None,
    host: Mapping[str, HostFunction] | None = None,
) -> None:
    """Write `graph.json` and `graph.npz` into a folder.

    Args:
        folder: Where to.
        graph: The graph in the network's units.
        integers: The same in integers, if there is one.
        encoder: What makes its spike trains, if any.
        target: Name of the target that it is compiled for.
        placement: A placement's `to_dict`.
        details: What the target's toolchain reported.
        host: What the host makes of inputs, by the source that gets its values.
    """
    store = ArrayStore()
    content = records.GraphFile(
        target=target,
        placement=msgspec.convert(placement, records.PlacementRecord | None),
        details=details or {},
        encoder=_describe_encoder(encoder),
        graph=_describe_graph(graph, store),
        integers=_describe_integers(integers, store),
        npz_sha256="",
        lookups=_describe_lookups(host or {}, store),
        spectrograms=_describe_spectrograms(host or {}),
    )
    with replacing(folder / "graph.npz") as path, path.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **store.arrays)
    content.npz_sha256 = file_hash(folder / "graph.npz")
    write_json(folder / "graph.json", msgspec.to_builtins(content))


def load_graph(
    folder: Path,
) -> tuple[
    SpikeGraph, IntegerGraph | None, SpikeEncoder | None, dict[str, HostFunction], records.GraphFile
]:
    """Read what `save_graph` wrote: graph, integers, encoder, host functions, `graph.json`.

    Raises:
        HardwareCompatibilityError: A file is absent, cut short, from elsewhere, of another
            version, or describes what no network can be.
    """
    try:
        content = read_json(folder / "graph.json", records.GraphFile)
        if content.npz_sha256 != file_hash(folder / "graph.npz"):
            raise ValueError(t("hardware.other_arrays"))
        store = ArrayStore(read_arrays(folder / "graph.npz", kinds="fi"))
        graph = _read_graph(content.graph, store)
        integers = _read_integers(content.integers, graph, store)
        encoder = _read_encoder(content.encoder, graph)
        host = _read_lookups(content.lookups, graph, store)
        host |= _read_spectrograms(content.spectrograms, graph)
        placed = {core[2] for core in content.placement.cores} if content.placement else set()
        if unknown := placed - set(graph.populations):
            raise ValueError(f"cores hold unknown populations {sorted(unknown)}")
    except (OSError, ValueError, TypeError, HardwareCompatibilityError) as error:
        raise HardwareCompatibilityError(
            t("hardware.unusable_graph", folder=folder, reason=error)
        ) from error
    return graph, integers, encoder, host, content


def _describe_graph(graph: SpikeGraph, store: ArrayStore) -> records.GraphRecord:
    readout = None if graph.readout is None else _describe_readout(graph.readout, store)
    return records.GraphRecord(
        graph.name,
        graph.timesteps,
        [
            records.PopulationRecord(
                p.name,
                p.shape,
                p.kind,
                p.decay,
                p.threshold,
                None if p.bias is None else store.put(p.bias),
                p.depth,
                p.rule,
                p.levels,
                p.current_decay,
            )
            for p in graph.populations.values()
        ],
        _describe_projections(graph, store),
        readout,
        describe_hosted(graph, store) if isinstance(graph, HostedGraph) else None,
    )


def _describe_readout(readout: Readout, store: ArrayStore) -> records.ReadoutRecord:
    terms = [(name, store.put_operator(operator)) for name, operator in readout.terms]
    bias = store.put(readout.bias)
    late = (readout.branches, readout.temperature)
    return records.ReadoutRecord(readout.shape, terms, bias, readout.mask, *late)


def _describe_projections(graph: SpikeGraph, store: ArrayStore) -> list[records.ProjectionRecord]:
    return [
        records.ProjectionRecord(p.source, p.target, p.delay, store.put_operator(p.operator), p.lag)
        for p in graph.projections
    ]


def _read_graph(record: records.GraphRecord, store: ArrayStore) -> SpikeGraph:
    populations: dict[str, Population] = {}
    deepest = len(record.populations) + sum(p.delay for p in record.projections)
    for p in record.populations:
        if p.name in populations or p.depth >= deepest:
            raise ValueError(f"population {p.name!r} stands there twice or at depth {p.depth}")
        bias = None if p.bias is None else store.get(p.bias, 1, "f")
        populations[p.name] = Population(
            p.name,
            p.shape,
            p.kind,
            p.decay,
            p.threshold,
            bias,
            p.depth,
            p.rule,
            p.levels,
            p.current_decay,
        )
        if record.hosted is not None and p.kind == "lif":
            given = record.hosted.populations.get(p.name)
            populations[p.name] = read_differential(populations[p.name], given, store)
    neurons = sum(p.size for p in populations.values())
    if neurons * record.timesteps > MAX_NEURON_STEPS or not neurons:
        raise ValueError(f"{neurons} neurons for {record.timesteps} timesteps")
    projections = _read_projections(record.projections, store)
    readout = None if record.readout is None else _read_readout(record.readout, populations, store)
    graph = SpikeGraph(record.timesteps, populations, projections, readout, record.name)
    if record.hosted is not None:
        graph = read_hosted(record.hosted, graph, store)
    if not graph.neurons or not graph.sources:
        raise ValueError("it has no neurons or no input")
    return graph


def _read_readout(
    record: records.ReadoutRecord, populations: Mapping[str, Population], store: ArrayStore
) -> Readout:
    terms = tuple((name, store.get_operator(operator)) for name, operator in record.terms)
    late = (record.branches, record.temperature)
    readout = Readout(record.shape, terms, store.get(record.bias, 1, "f"), record.mask, *late)
    outputs = int(np.prod(record.shape)) * record.branches
    if readout.bias.shape != (outputs,):
        raise ValueError(f"the readout's bias has the shape {readout.bias.shape}, not ({outputs},)")
    for name, operator in terms:
        found = populations.get(name)
        if found is None or found.kind == "values" or operator.shape != (outputs, found.size):
            raise ValueError(f"the readout of {name!r} has weights of shape {operator.shape}")
    if readout.mask is not None:
        _check_mask(readout.mask, terms, populations)
    return readout


def _check_mask(
    mask: str, terms: tuple[tuple[str, Operator], ...], populations: Mapping[str, Population]
) -> None:
    """Refuse a mask whose tokens are not those of what is read."""
    source = populations.get(mask)
    if source is None or source.kind != "values":
        raise ValueError(f"the readout averages over {mask!r}, which is no source of values")
    for name, _ in terms:
        if populations[name].shape[0] != source.size:
            raise ValueError(f"{name!r} has other tokens than the readout's mask {mask!r}")


def _read_lookups(
    found: Mapping[str, records.LookupRecord], graph: SpikeGraph, store: ArrayStore
) -> dict[str, HostFunction]:
    lookups: dict[str, HostFunction] = {}
    for name, record in found.items():
        table = store.get(record.table, 2, "f")
        source = graph.populations.get(name)
        if source is None or source.kind != "values" or source.shape[-1] != table.shape[1]:
            raise ValueError(f"a table of shape {table.shape} has no source {name!r} to go to")
        lookups[name] = Lookup(record.ids, table)
    return lookups


def _describe_lookups(
    host: Mapping[str, HostFunction], store: ArrayStore
) -> dict[str, records.LookupRecord]:
    return {
        source: records.LookupRecord(function.argument, store.put(function.table))
        for source, function in host.items()
        if isinstance(function, Lookup)
    }


def _describe_spectrograms(
    host: Mapping[str, HostFunction],
) -> dict[str, records.SpectrogramRecord]:
    return {
        source: records.SpectrogramRecord(
            function.argument, function.num_samples, **function.frames.settings
        )
        for source, function in host.items()
        if isinstance(function, Spectrogram)
    }


def _read_spectrograms(
    found: Mapping[str, records.SpectrogramRecord], graph: SpikeGraph
) -> dict[str, HostFunction]:
    spectrograms: dict[str, HostFunction] = {}
    for name, record in found.items():
        settings = msgspec.to_builtins(record)
        argument, num_samples = settings.pop("argument"), settings.pop("num_samples")
        frames = LogMelFrames(**settings)
        source = graph.populations.get(name)
        fits = source is not None and source.kind == "values" and num_samples >= frames.n_fft
        if not fits or source.shape != frames.shape(num_samples):  # type: ignore[union-attr]
            raise ValueError(f"frames of {num_samples} samples have no source {name!r} to go to")
        spectrograms[name] = Spectrogram(argument, num_samples, frames)
    return spectrograms


def _read_projections(
    found: list[records.ProjectionRecord], store: ArrayStore
) -> tuple[Projection, ...]:
    return tuple(
        Projection(p.source, p.target, store.get_operator(p.operator), p.delay, p.lag)
        for p in found
    )


def _describe_integers(
    integers: IntegerGraph | None, store: ArrayStore
) -> records.IntegersRecord | None:
    if integers is None:
        return None
    return records.IntegersRecord(
        records.NumbersRecord(**asdict(integers.format)),
        {
            name: records.NeuronsRecord(n.dv, n.vth, n.bias_exp, n.scale, n.du)
            for name, n in integers.neurons.items()
        },
        _describe_projections(integers.graph, store),
        describe_populations(integers.graph, store),
    )


def _read_integers(
    record: records.IntegersRecord | None, graph: SpikeGraph, store: ArrayStore
) -> IntegerGraph | None:
    if record is None:
        return None
    projections = _read_projections(record.projections, store)
    numbers = NumberFormat(**msgspec.to_builtins(record.format))
    whole = replace(graph, projections=projections)
    if isinstance(graph, HostedGraph):
        whole = read_integers(record.populations, graph, projections, numbers.max_state, store)
    for projection in whole.synapses:
        weights = projection.operator.weights
        if weights.dtype.kind != "i" or not _within(weights, numbers):
            raise ValueError(f"integer weights of {projection.target!r} are out of range")
    wanted = set() if isinstance(graph, HostedGraph) else {p.name for p in graph.neurons}
    if set(record.neurons) != wanted:
        raise ValueError("there are not integers for each population")
    neurons = {name: _read_neurons(name, n, numbers) for name, n in record.neurons.items()}
    for p in graph.neurons:
        if p.rule == "count" and neurons[p.name].vth < 1:
            raise ValueError(f"{p.name!r} counts spikes and has no threshold")
    return IntegerGraph(whole, neurons, numbers)


def _within(weights: Array, numbers: NumberFormat) -> bool:
    largest = numbers.max_weight
    return not weights.size or -largest <= int(weights.min()) <= int(weights.max()) <= largest


def _read_neurons(
    name: str, record: records.NeuronsRecord, numbers: NumberFormat
) -> IntegerNeurons:
    limits = {
        "dv": numbers.decay_one - 1,
        "du": numbers.decay_one - 1,
        "vth": numbers.max_threshold,
        "bias_exp": max(numbers.max_bias_exp, numbers.weight_shift),
    }
    for field, most in limits.items():
        if (getattr(record, field) or 0) > most:
            raise ValueError(f"{field} of {name!r} is {getattr(record, field)}, at most {most}")
    return IntegerNeurons(record.dv, record.vth, record.bias_exp, record.scale, record.du)


def _describe_encoder(encoder: SpikeEncoder | None) -> dict[str, Any] | None:
    if encoder is None:
        return None
    names = [name for name, kind in ENCODERS.items() if kind is type(encoder)]
    if not names:
        raise HardwareCompatibilityError(
            t(
                "hardware.encoder_not_saved",
                encoder=type(encoder).__name__,
                known=", ".join(ENCODERS),
            )
        )
    settings = {
        key: getattr(encoder, key)
        for key in ("timesteps", "clamp", "max_rate", "seed", "threshold")
        if hasattr(encoder, key)
    }
    return {"code": names[0], **settings}


def _read_encoder(content: Mapping[str, Any] | None, graph: SpikeGraph) -> SpikeEncoder | None:
    if content is None:
        return None
    settings = dict(content)
    code = settings.pop("code", None)
    if code not in ENCODERS or settings.get("timesteps") != graph.timesteps:
        raise ValueError(f"no encoder {code!r} has {settings.get('timesteps')} timesteps here")
    return ENCODERS[code](**settings)
