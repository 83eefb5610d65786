"""Graphs and compiled networks as files: `graph.json` and `graph.npz`, nothing pickled.

What is read may come from a stranger. `records` says what `graph.json` may hold, and every array is
checked against it before a graph is made of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from scipy import sparse

from spikeformer.encoding import ENCODERS, SpikeEncoder
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.files import file_hash, read_arrays, read_json, replacing, write_json
from spikeformer.hardware.ir import records
from spikeformer.hardware.ir.graph import Array, Population, Projection, Readout, SpikeGraph
from spikeformer.hardware.ir.integers import IntegerGraph, IntegerNeurons, NumberFormat
from spikeformer.hardware.ir.lookup import Lookup
from spikeformer.hardware.ir.operators import Convolution, Operator, Sparse, TokenLinear
from spikeformer.i18n import t

MAX_NEURON_STEPS = 2**31
"""Neurons times timesteps of a graph that is read."""


class ArrayStore:
    """Arrays on their way to or from a `graph.npz`, each stored once.

    Args:
        arrays: What a file holds; None to fill it.
    """

    def __init__(self, arrays: Mapping[str, Array] | None = None) -> None:
        self.arrays = dict(arrays or {})
        self._names: dict[int, str] = {}

    def put(self, array: Array) -> str:
        """Store an array and return its name."""
        # It stays here, so no other array gets its id.
        name = self._names.setdefault(id(array), f"array_{len(self.arrays)}")
        self.arrays[name] = array
        return name

    def get(self, name: str, ndim: int, kinds: str = "fi") -> Array:
        """Return an array by its name, if it has so many axes and finite numbers of such a kind."""
        if name not in self.arrays:
            raise ValueError(f"there is no array {name!r}")
        array = self.arrays[name]
        sizes = {"f": (8,), "i": (4, 8)}
        if array.dtype.kind not in kinds or array.dtype.itemsize not in sizes[array.dtype.kind]:
            raise ValueError(f"{name} holds {array.dtype}, expected one of the kinds {kinds!r}")
        if array.ndim != ndim or not array.dtype.isnative:
            raise ValueError(f"{name} has the shape {array.shape}, expected {ndim} axes")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds numbers that are not finite")
        return array

    def put_operator(self, operator: Operator) -> records.OperatorRecord:
        """Store an operator and return its description."""
        if isinstance(operator, Sparse):
            csr = operator.csr
            parts = [self.put(part) for part in (csr.data, csr.indices, csr.indptr)]
            return records.SparseRecord(operator.shape, *parts)
        weights = self.put(operator.weights)
        if isinstance(operator, TokenLinear):
            return records.TokenLinearRecord(weights, operator.tokens, operator.channels_first)
        assert isinstance(operator, Convolution)
        return records.ConvolutionRecord(
            weights,
            operator.image,
            operator.stride,
            operator.padding,
            operator.groups,
            operator.tokens_out,
        )

    def get_operator(self, record: records.OperatorRecord) -> Operator:
        """Return the operator of a description."""
        if isinstance(record, records.SparseRecord):
            return Sparse(self._csr(record))
        settings = {f: getattr(record, f) for f in record.__struct_fields__ if f != "weights"}
        if isinstance(record, records.TokenLinearRecord):
            return TokenLinear(self.get(record.weights, 2), **settings)
        weights = self.get(record.weights, 4)
        padded = [
            side + 2 * pad for side, pad in zip(record.image[1:], record.padding, strict=True)
        ]
        if (
            min(weights.shape) < 1
            or weights.shape[0] % record.groups
            or weights.shape[1] * record.groups != record.image[0]
            or any(kernel > side for kernel, side in zip(weights.shape[2:], padded, strict=True))
            or record.image[0] * padded[0] * padded[1] > MAX_NEURON_STEPS
        ):
            raise ValueError(
                f"weights of shape {weights.shape} do not fit the image {record.image}"
            )
        return Convolution(weights, **settings)

    def _csr(self, record: records.SparseRecord) -> sparse.csr_array:
        """Return a matrix none of whose indices leads out of it."""
        rows, columns = record.shape
        data = self.get(record.data, 1)
        indices, indptr = self.get(record.indices, 1, "i"), self.get(record.indptr, 1, "i")
        if (
            len(indptr) != rows + 1
            or indptr[0] != 0
            or (np.diff(indptr) < 0).any()
            or not indptr[-1] == len(indices) == len(data)
            or (len(indices) and not 0 <= indices.min() <= indices.max() < columns)
        ):
            raise ValueError(f"the indices of {record.data} lead out of the shape {record.shape}")
        return sparse.csr_array((data, indices, indptr), shape=record.shape)


def save_graph(
    folder: Path,
    graph: SpikeGraph,
    integers: IntegerGraph | None = None,
    encoder: SpikeEncoder | None = None,
    *,
    target: str = "",
    placement: dict[str, Any] | None = None,
    details: dict[str, Any] | None = None,
    lookups: Mapping[str, Lookup] | None = None,
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
        lookups: Embeddings that the host looks up, by the source that gets their values.
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
        lookups={
            source: records.LookupRecord(lookup.ids, store.put(lookup.table))
            for source, lookup in (lookups or {}).items()
        },
    )
    with replacing(folder / "graph.npz") as path, path.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **store.arrays)
    content.npz_sha256 = file_hash(folder / "graph.npz")
    write_json(folder / "graph.json", msgspec.to_builtins(content))


def load_graph(
    folder: Path,
) -> tuple[
    SpikeGraph, IntegerGraph | None, SpikeEncoder | None, dict[str, Lookup], records.GraphFile
]:
    """Read what `save_graph` wrote: graph, integers, encoder, lookups, and all of `graph.json`.

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
        lookups = _read_lookups(content.lookups, graph, store)
        placed = {core[2] for core in content.placement.cores} if content.placement else set()
        if unknown := placed - set(graph.populations):
            raise ValueError(f"cores hold unknown populations {sorted(unknown)}")
    except (OSError, ValueError, TypeError, HardwareCompatibilityError) as error:
        raise HardwareCompatibilityError(
            t("hardware.unusable_graph", folder=folder, reason=error)
        ) from error
    return graph, integers, encoder, lookups, content


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
            )
            for p in graph.populations.values()
        ],
        _describe_projections(graph, store),
        readout,
    )


def _describe_readout(readout: Readout, store: ArrayStore) -> records.ReadoutRecord:
    terms = [(name, store.put_operator(operator)) for name, operator in readout.terms]
    return records.ReadoutRecord(readout.shape, terms, store.put(readout.bias), readout.mask)


def _describe_projections(graph: SpikeGraph, store: ArrayStore) -> list[records.ProjectionRecord]:
    return [
        records.ProjectionRecord(p.source, p.target, p.delay, store.put_operator(p.operator), p.lag)
        for p in graph.projections
    ]


def _read_graph(record: records.GraphRecord, store: ArrayStore) -> SpikeGraph:
    populations: dict[str, Population] = {}
    for p in record.populations:
        if p.name in populations or p.depth >= len(record.populations):
            raise ValueError(f"population {p.name!r} stands there twice or at depth {p.depth}")
        bias = None if p.bias is None else store.get(p.bias, 1, "f")
        populations[p.name] = Population(
            p.name, p.shape, p.kind, p.decay, p.threshold, bias, p.depth, p.rule, p.levels
        )
    neurons = sum(p.size for p in populations.values())
    if neurons * record.timesteps > MAX_NEURON_STEPS or not neurons:
        raise ValueError(f"{neurons} neurons for {record.timesteps} timesteps")
    projections = _read_projections(record.projections, store)
    readout = None if record.readout is None else _read_readout(record.readout, populations, store)
    graph = SpikeGraph(record.timesteps, populations, projections, readout, record.name)
    if not graph.neurons or not graph.sources:
        raise ValueError("it has no neurons or no input")
    return graph


def _read_readout(
    record: records.ReadoutRecord, populations: Mapping[str, Population], store: ArrayStore
) -> Readout:
    terms = tuple((name, store.get_operator(operator)) for name, operator in record.terms)
    readout = Readout(record.shape, terms, store.get(record.bias, 1, "f"), record.mask)
    outputs = int(np.prod(record.shape))
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
) -> dict[str, Lookup]:
    lookups = {}
    for name, record in found.items():
        table = store.get(record.table, 2, "f")
        source = graph.populations.get(name)
        if source is None or source.kind != "values" or source.shape[-1] != table.shape[1]:
            raise ValueError(f"a table of shape {table.shape} has no source {name!r} to go to")
        lookups[name] = Lookup(record.ids, table)
    return lookups


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
            name: records.NeuronsRecord(n.dv, n.vth, n.bias_exp, n.scale)
            for name, n in integers.neurons.items()
        },
        _describe_projections(integers.graph, store),
    )


def _read_integers(
    record: records.IntegersRecord | None, graph: SpikeGraph, store: ArrayStore
) -> IntegerGraph | None:
    if record is None:
        return None
    projections = _read_projections(record.projections, store)
    numbers = NumberFormat(**msgspec.to_builtins(record.format))
    whole = SpikeGraph(graph.timesteps, graph.populations, projections, graph.readout, graph.name)
    for projection in whole.synapses:
        weights = projection.operator.weights
        if weights.dtype.kind != "i" or not _within(weights, numbers):
            raise ValueError(f"integer weights of {projection.target!r} are out of range")
    if set(record.neurons) != {p.name for p in graph.neurons}:
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
        "vth": numbers.max_threshold,
        "bias_exp": max(numbers.max_bias_exp, numbers.weight_shift),
    }
    for field, most in limits.items():
        if getattr(record, field) > most:
            raise ValueError(f"{field} of {name!r} is {getattr(record, field)}, at most {most}")
    return IntegerNeurons(record.dv, record.vth, record.bias_exp, record.scale)


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
