"""Graphs and compiled networks as files: `graph.json` and `graph.npz`, nothing pickled."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from spikeformer.encoding import ENCODERS, SpikeEncoder
from spikeformer.error_handling import HardwareCompatibilityError, SpikeformerError
from spikeformer.files import file_hash, replacing, write_json
from spikeformer.hardware.ir.graph import Array, Population, Projection, Readout, SpikeGraph
from spikeformer.hardware.ir.integers import IntegerGraph, IntegerNeurons
from spikeformer.hardware.ir.operators import Convolution, Operator, Sparse, TokenLinear
from spikeformer.i18n import t

FORMAT = "spikeformer graph"
VERSION = 1
_OPERATORS: dict[str, Any] = {kind.__name__: kind for kind in (TokenLinear, Convolution, Sparse)}


class ArrayStore:
    """Arrays on their way to or from a `graph.npz`, each stored once.

    Args:
        arrays: What a file holds; None to fill it.
    """

    def __init__(self, arrays: Mapping[str, Array] | None = None) -> None:
        self.arrays = dict(arrays or {})
        self._names: dict[int, str] = {}

    def put(self, array: Array | None) -> str | None:
        """Store an array and return its name."""
        if array is None:
            return None
        # It stays here, so no other array gets its id.
        name = self._names.setdefault(id(array), f"array_{len(self.arrays)}")
        self.arrays[name] = array
        return name

    def get(self, name: str | None) -> Any:
        """Return an array by its name."""
        return None if name is None else self.arrays[name]

    def put_operator(self, operator: Operator) -> dict[str, Any]:
        """Store an operator and return its description."""
        kind = type(operator).__name__
        if isinstance(operator, Sparse):
            parts = {name: self.put(getattr(operator.csr, name)) for name in _CSR}
            return {"kind": kind, "shape": list(operator.shape), **parts}
        assert isinstance(operator, TokenLinear | Convolution)
        settings = {f.name: getattr(operator, f.name) for f in fields(operator)}
        return {"kind": kind, **settings, "weights": self.put(operator.weights)}

    def get_operator(self, description: Mapping[str, Any]) -> Operator:
        """Return the operator of a description."""
        settings: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in description.items()
        }
        kind = _OPERATORS[settings.pop("kind")]
        if kind is Sparse:
            parts = tuple(self.get(settings[name]) for name in _CSR)
            return Sparse(sparse.csr_array(parts, shape=settings["shape"]))
        settings["weights"] = self.get(settings["weights"])
        operator: Operator = kind(**settings)
        return operator


_CSR = ("data", "indices", "indptr")


def save_graph(
    folder: Path,
    graph: SpikeGraph,
    integers: IntegerGraph | None = None,
    encoder: SpikeEncoder | None = None,
    **more: Any,
) -> None:
    """Write `graph.json` and `graph.npz` into a folder.

    Args:
        folder: Where to.
        graph: The graph in the network's units.
        integers: The same in whole numbers, if there is one.
        encoder: What makes its spike trains, if any.
        **more: Further values for `graph.json`.
    """
    store = ArrayStore()
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        **more,
        "encoder": _describe_encoder(encoder),
        "graph": _describe_graph(graph, store),
        "integers": _describe_integers(integers, store),
    }
    with replacing(folder / "graph.npz") as path, path.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **store.arrays)
    write_json(folder / "graph.json", {**content, "npz_sha256": file_hash(folder / "graph.npz")})


def load_graph(
    folder: Path,
) -> tuple[SpikeGraph, IntegerGraph | None, SpikeEncoder | None, dict[str, Any]]:
    """Read what `save_graph` wrote: graph, integers, encoder, and all of `graph.json`.

    Raises:
        HardwareCompatibilityError: A file is absent, cut short, from elsewhere, or of another
            version.
    """
    try:
        content = json.loads((folder / "graph.json").read_text(encoding="utf-8"))
        if content["format"] != FORMAT or content["version"] != VERSION:
            raise ValueError(
                t(
                    "hardware.other_file_format",
                    format=content["format"],
                    version=content["version"],
                )
            )
        if content["npz_sha256"] != file_hash(folder / "graph.npz"):
            raise ValueError(t("hardware.other_arrays"))
        with np.load(folder / "graph.npz", allow_pickle=False) as archive:
            store = ArrayStore({name: archive[name] for name in archive.files})
        graph = _read_graph(content["graph"], store)
        integers = _read_integers(content["integers"], graph, store)
        encoder = _read_encoder(content["encoder"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, SpikeformerError):
            raise
        raise HardwareCompatibilityError(
            t("hardware.unusable_graph", folder=folder, reason=error)
        ) from error
    return graph, integers, encoder, content


def _describe_graph(graph: SpikeGraph, store: ArrayStore) -> dict[str, Any]:
    populations = [
        {**asdict(p), "shape": list(p.shape), "bias": store.put(p.bias)}
        for p in graph.populations.values()
    ]
    readout = graph.readout
    return {
        "name": graph.name,
        "timesteps": graph.timesteps,
        "populations": populations,
        "projections": _describe_projections(graph, store),
        "readout": readout
        and {
            "shape": list(readout.shape),
            "terms": [[name, store.put_operator(op)] for name, op in readout.terms],
            "bias": store.put(readout.bias),
        },
    }


def _describe_projections(graph: SpikeGraph, store: ArrayStore) -> list[dict[str, Any]]:
    return [
        {
            "source": p.source,
            "target": p.target,
            "delay": p.delay,
            "operator": store.put_operator(p.operator),
        }
        for p in graph.projections
    ]


def _read_graph(content: Mapping[str, Any], store: ArrayStore) -> SpikeGraph:
    populations = [
        Population(**{**p, "shape": tuple(p["shape"]), "bias": store.get(p["bias"])})
        for p in content["populations"]
    ]
    readout = content["readout"]
    return SpikeGraph(
        content["timesteps"],
        {population.name: population for population in populations},
        _read_projections(content["projections"], store),
        readout
        and Readout(
            tuple(readout["shape"]),
            tuple((name, store.get_operator(op)) for name, op in readout["terms"]),
            store.get(readout["bias"]),
        ),
        content["name"],
    )


def _read_projections(
    content: list[Mapping[str, Any]], store: ArrayStore
) -> tuple[Projection, ...]:
    return tuple(
        Projection(**{**p, "operator": store.get_operator(p["operator"])}) for p in content
    )


def _describe_integers(integers: IntegerGraph | None, store: ArrayStore) -> dict[str, Any] | None:
    if integers is None:
        return None
    return {
        "neurons": {name: asdict(neurons) for name, neurons in integers.neurons.items()},
        "projections": _describe_projections(integers.graph, store),
    }


def _read_integers(
    content: Mapping[str, Any] | None, graph: SpikeGraph, store: ArrayStore
) -> IntegerGraph | None:
    if content is None:
        return None
    projections = _read_projections(content["projections"], store)
    whole = SpikeGraph(graph.timesteps, graph.populations, projections, graph.readout, graph.name)
    neurons = {name: IntegerNeurons(**values) for name, values in content["neurons"].items()}
    return IntegerGraph(whole, neurons)


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


def _read_encoder(content: dict[str, Any] | None) -> SpikeEncoder | None:
    if content is None:
        return None
    settings = dict(content)
    return ENCODERS[settings.pop("code")](**settings)
