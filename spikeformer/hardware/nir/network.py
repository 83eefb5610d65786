"""Networks from NIR files: they run, train, are profiled and go to chips as any other."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from spikeformer.encoding import SpikeEncoder
from spikeformer.error_handling import (
    ArgumentError,
    HardwareCompatibilityError,
    SpikingDynamicsError,
    check_choice,
    check_positive,
)
from spikeformer.hardware.lowering import refuses
from spikeformer.hardware.nir.export import nir_package
from spikeformer.hardware.nir.nodes import Stateless, shaped
from spikeformer.hardware.nir.reading import Time, node_of
from spikeformer.i18n import t
from spikeformer.ops.lif import RESETS

State = dict[str, Any]
"""What the nodes of a network remember, and what they sent last, by name."""

Frames: TypeAlias = dict[str, Tensor]
"""Sequences (batch, timesteps, ...) by the name of an input or an output."""

DEFAULT_DT = 1e-3
"""Seconds of a timestep where nobody says otherwise."""

_NUMBER = re.compile(r"^n\d{4}_")


class NirNetwork(nn.Module):
    """A network read from a NIR file.

    Time is discrete with steps of `dt`: a `LIF` takes Euler's step `v <- v + dt / tau (v_leak - v +
    r I)`, or with `method="exact"` that by `1 - exp(-dt / tau)`; an `IF` `v <- v + dt r I`. The
    current of a `CubaLIF` takes its step before the membrane does, which sees the new one. Neurons
    start from `v_reset`. Edges that close a loop take a step; all others none.

    Args:
        path: The file.
        encoder: Turns samples into what comes in, (batch, timesteps, ...): `EventCoding` for
            recordings of spikes, `DirectCoding` for pictures; one for all inputs, or one for each
            by its name. None takes sequences as they are.
        dt: Length of a timestep in seconds; None is what the file says, or 1 ms if it does not.
        method: "euler", or "exact" for the solution at a current that is constant for a step.
        reset: "zero" for membranes at `v_reset` after a spike, as NIR says, or "subtract" for what
            writers with a soft reset mean, which a file cannot say.

    Attributes:
        input_shapes: Shape of a frame of each input, by its name in the file.

    Raises:
        HardwareCompatibilityError: The file is not NIR, was written for other steps, or holds a
            node that is not known here; the message names it.
        MissingDependencyError: The package `nir` is not installed.

    Source: Pedersen et al., 2024, doi:10.1038/s41467-024-52259-9.
    """

    has_head: ClassVar[bool] = True
    """Its outputs are a task's, not features for a head."""

    def __init__(
        self,
        path: str | Path,
        encoder: SpikeEncoder | Mapping[str, SpikeEncoder] | None = None,
        *,
        dt: float | None = None,
        method: str = "euler",
        reset: str = "zero",
    ) -> None:
        super().__init__()
        check_choice("method", method, ("euler", "exact"))
        nodes, edges, written = _read(Path(path))
        time = Time(_step(path, dt, written), method, check_choice("reset", reset, RESETS))
        self._inputs = _ends(nodes, "Input")
        self._outputs = _ends(nodes, "Output")
        if not self._inputs or not self._outputs:
            counts = {"inputs": len(self._inputs), "outputs": len(self._outputs)}
            raise HardwareCompatibilityError(t("hardware.nir_ends", path=path, **counts))
        self.encoder = self._encoders(encoder)
        self._order, self._sources, self.loops = _in_order(nodes, edges, [*self._inputs.values()])
        ends = {*self._inputs.values(), *self._outputs.values()}
        self.nodes = nn.ModuleDict(
            {
                _key(name): node_of(name, nodes[name], time)
                for name in self._order
                if name not in ends
            }
        )
        self.input_shapes = {
            name: self._frame(full, tuple(int(n) for n in nodes[full].input_type["input"]))
            for name, full in self._inputs.items()
        }

    @property
    def expected_shape(self) -> tuple[int, ...] | dict[str, tuple[int, ...]] | None:
        """Shape of one sample, or of each input's, where an encoder says how they come."""
        if self.encoder is None:
            return None
        shapes = {
            name: self._encoder_of(name).sample_shape(shape)
            for name, shape in self.input_shapes.items()
        }
        return shapes if len(shapes) > 1 else next(iter(shapes.values()))

    def forward(self, x: Tensor | None = None, **inputs: Tensor) -> Tensor | dict[str, Tensor]:
        """Run samples from rest.

        Args:
            x: Samples as the encoder takes them; without one, (batch, timesteps, *input_shape).
            **inputs: The same by the names of several inputs.

        Returns:
            Shape (batch, timesteps, ...); of a file with several outputs each by its name.

        Raises:
            SpikingDynamicsError: Frames have another number of elements than the file says, or an
                input is missing or unknown.
        """
        given = self._named(inputs if x is None else x)
        if self.encoder is not None:
            given = {name: self._encoder_of(name)(value) for name, value in given.items()}
        if self.loops:
            return self._one(self._run(self._framed(given), {})[0])
        found = self._pass(self._framed(given), lambda name, node, current: node(current), {})
        return self._one(found)

    def run(
        self, frames: Tensor | Mapping[str, Tensor], state: State
    ) -> tuple[Tensor | dict[str, Tensor], State]:
        """Run a stretch of a longer recording.

        Args:
            frames: Shape (batch, timesteps, *input_shape), encoded; several inputs by their names.
            state: What the last stretch returned; empty before the first.

        Returns:
            Outputs (batch, timesteps, ...) as of a call, and the state behind them.
        """
        found, after = self._run(self._framed(self._named(frames)), dict(state))
        return self._one(found), after

    def _run(self, frames: Frames, state: State) -> tuple[Frames, State]:
        def go_on(name: str, node: Any, current: Tensor) -> Tensor:
            output: Tensor
            output, state[name] = node.run(current, state.get(name))
            return output

        if not self.loops:
            return self._pass(frames, go_on, state), state
        steps = zip(*(torch.split(x, 1, dim=1) for x in frames.values()), strict=True)
        found = [self._pass(dict(zip(frames, step, strict=True)), go_on, state) for step in steps]
        return {name: torch.cat([x[name] for x in found], dim=1) for name in found[0]}, state

    def _pass(self, frames: Frames, run: Any, state: State) -> Frames:
        sent = {self._inputs[name]: x for name, x in frames.items()}
        outputs = self._outputs.values()
        for name in self._order:
            if name in sent:
                continue
            parts = [sent[source] for source in self._sources[name]]
            earlier = map(_last, self.loops.get(name, ()))
            parts += [state[source] for source in earlier if source in state]
            current = _total(name, parts)
            sent[name] = current if name in outputs else run(name, self.nodes[_key(name)], current)
        for source in {source for sources in self.loops.values() for source in sources}:
            state[_last(source)] = sent[source]
        return {name: sent[full] for name, full in self._outputs.items()}

    def _framed(self, inputs: Mapping[str, Tensor]) -> Frames:
        return {name: shaped(x, self.input_shapes[name]) for name, x in inputs.items()}

    def _frame(self, full: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of a frame of an input that has such a shape in the file.

        Files of sinabs's have the time axis of the sample that they were written with.
        """
        first = [name for name, sources in self._sources.items() if full in sources]
        modules = [self.nodes[_key(name)] for name in first if _key(name) in self.nodes]
        layers = [m for m in modules if isinstance(m, Stateless) and m.shape is not None]
        sizes = {math.prod(layer.shape or ()) for layer in layers}
        return shape[1:] if sizes == {math.prod(shape[1:])} != {math.prod(shape)} else shape

    def _named(self, inputs: Tensor | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return inputs by their names; a single one need not have its."""
        if isinstance(inputs, Tensor):
            inputs = {next(iter(self._inputs)) if len(self._inputs) == 1 else "x": inputs}
        if inputs.keys() != self._inputs.keys():
            found, expected = (", ".join(sorted(names)) for names in (inputs, self._inputs))
            raise SpikingDynamicsError(t("hardware.nir_inputs", expected=expected, found=found))
        return inputs

    def _one(self, outputs: Frames) -> Tensor | Frames:
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))

    def _encoders(self, encoder: SpikeEncoder | Mapping[str, SpikeEncoder] | None) -> Any:
        if not isinstance(encoder, Mapping):
            return encoder
        if encoder.keys() != self._inputs.keys():
            raise ArgumentError("encoder", sorted(encoder), f"one for each of {[*self._inputs]}")
        return nn.ModuleDict({_key(name): each for name, each in encoder.items()})

    def _encoder_of(self, name: str) -> SpikeEncoder:
        several = isinstance(self.encoder, nn.ModuleDict)
        found: SpikeEncoder = self.encoder[_key(name)] if several else self.encoder
        return found


@refuses(NirNetwork)
def has_loops(module: NirNetwork) -> str | None:
    """Refuse loops: the spike graph is a pipeline."""
    if not module.loops:
        return None
    nodes = ", ".join(sorted(module.loops))
    return t("hardware.nir_loops", nodes=nodes)


def import_nir(
    path: str | Path,
    encoder: SpikeEncoder | Mapping[str, SpikeEncoder] | None = None,
    *,
    dt: float | None = None,
    method: str = "euler",
    reset: str = "zero",
) -> NirNetwork:
    """Read a network from a file of the Neuromorphic Intermediate Representation.

    Args:
        path: The file, as Norse, snnTorch, sinabs, Rockpool or `export_nir` write it.
        encoder: Turns samples into what comes in; None takes (batch, timesteps, ...) as it is. A
            network for a chip needs one, since it says how many timesteps a sample has.
        dt: Length of a timestep in seconds: 0.1 ms for snnTorch, 1 for sinabs, 1e-6 for Norse,
            which writes time constants in steps of 1 ms. None is what the file says, as this
            project's do, or 1 ms with a warning.
        method: "euler", or "exact" for membranes that decay by `exp(-dt / tau)`, as sinabs's do.
        reset: "zero" for membranes at `v_reset` after a spike, or "subtract".

    Raises:
        HardwareCompatibilityError: The file is not NIR, was written for other steps than `dt`, or
            holds a node that is not known here.
        MissingDependencyError: The package `nir` is not installed.

    Example:
        ```python
        network = import_nir("network.nir", EventCoding(timesteps=16))
        SimulationDeployer().compile(network)
        ```
    """
    return NirNetwork(path, encoder, dt=dt, method=method, reset=reset)


def _read(path: Path) -> tuple[dict[str, Any], list[tuple[str, str]], float | None]:
    """Return the nodes and edges of a file, those of graphs inside it among them, and its step."""
    nir = nir_package()
    if not path.is_file():
        raise HardwareCompatibilityError(t("hardware.nir_absent", path=path))
    try:
        # Norse writes inputs with a batch axis, which nir's check of types does not let pass.
        graph = nir.read(path, type_check=False)
        nodes, edges = _flat(graph)
        written = graph.metadata.get("dt")
        return nodes, edges, None if written is None else float(written)
    except Exception as error:  # whatever a damaged file lets h5py, numpy or nir raise
        raise HardwareCompatibilityError(
            t("hardware.nir_unreadable", path=path, reason=error)
        ) from error


def _step(path: str | Path, dt: float | None, written: float | None) -> float:
    """Return the length of a timestep in seconds.

    Raises:
        HardwareCompatibilityError: The file was written for other ones: a network of fewer or
            longer steps would be another one.
    """
    if dt is None:
        if written is None:
            warnings.warn(t("hardware.nir_no_dt", path=path, dt=DEFAULT_DT), stacklevel=3)
        return check_positive("dt", DEFAULT_DT if written is None else written)
    if written is not None and not math.isclose(dt, written, rel_tol=1e-6):
        raise HardwareCompatibilityError(
            t("hardware.nir_other_dt", path=path, written=written, dt=dt)
        )
    return check_positive("dt", dt)


def _ends(nodes: Mapping[str, Any], kind: str) -> dict[str, str]:
    """Return inputs or outputs: their names without the numbers of `export_nir`, and in full."""
    names = [name for name, node in nodes.items() if type(node).__name__ == kind]
    short = {_NUMBER.sub("", name): name for name in names}
    return short if len(short) == len(names) else {name: name for name in names}


def _flat(graph: Any, prefix: str = "") -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return nodes and edges with graphs inside taken apart."""
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    entries: dict[str, list[str]] = {}
    exits: dict[str, list[str]] = {}
    for name, node in graph.nodes.items():
        full = prefix + name
        if type(node).__name__ != "NIRGraph":
            nodes[full] = node
            continue
        inner, inside = _flat(node, f"{full}/")
        first = [n for n, x in inner.items() if type(x).__name__ == "Input"]
        last = [n for n, x in inner.items() if type(x).__name__ == "Output"]
        entries[full] = [target for source, target in inside if source in first]
        exits[full] = [source for source, target in inside if target in last]
        ends = {*first, *last}
        nodes |= {n: x for n, x in inner.items() if n not in ends}
        edges += [edge for edge in inside if not ends & set(edge)]
    for source, target in graph.edges:
        for begin in exits.get(prefix + source, [prefix + source]):
            edges += [(begin, end) for end in entries.get(prefix + target, [prefix + target])]
    return nodes, list(dict.fromkeys(edges))


def _in_order(
    nodes: dict[str, Any], edges: list[tuple[str, str]], inputs: list[str]
) -> tuple[list[str], dict[str, list[str]], dict[str, list[str]]]:
    """Return the nodes behind the input in topological order, and the sources of each.

    The last are those of edges that close a loop, whose spikes take a step.
    """
    targets: dict[str, list[str]] = {}
    for source, target in edges:
        targets.setdefault(source, []).append(target)
    finished: list[str] = []
    closing: set[tuple[str, str]] = set()
    for start in inputs:
        _visit(start, targets, finished, closing)
    order = finished[::-1]
    sources: dict[str, list[str]] = {name: [] for name in order}
    loops: dict[str, list[str]] = {}
    for source, target in edges:
        if source in sources and target in sources:
            kept = loops.setdefault(target, []) if (source, target) in closing else sources[target]
            kept.append(source)
    return order, sources, loops


def _visit(
    start: str,
    targets: dict[str, list[str]],
    finished: list[str],
    closing: set[tuple[str, str]],
) -> None:
    """Search in depth from a node; add nodes as they are left and edges that lead back."""
    on_path = {start}
    stack: list[tuple[str, Iterator[str]]] = [(start, iter(targets.get(start, [])))]
    while stack:
        name, following = stack[-1]
        target = next(following, None)
        if target is None:
            stack.pop()
            on_path.discard(name)
            finished.append(name)
        elif target in on_path:
            closing.add((name, target))
        elif target not in finished:
            on_path.add(target)
            stack.append((target, iter(targets.get(target, []))))


def _total(name: str, parts: list[Tensor]) -> Tensor:
    shapes = {tuple(part.shape) for part in parts}
    if len(shapes) > 1:
        raise HardwareCompatibilityError(t("hardware.nir_shapes", node=name, shapes=sorted(shapes)))
    current = parts[0]
    for part in parts[1:]:
        current = current + part
    return current


def _key(name: str) -> str:
    return name.replace(".", "__").replace("/", "__")


def _last(source: str) -> str:
    """Return the name under which a state keeps what a node sent last."""
    return f"{source} (last)"
