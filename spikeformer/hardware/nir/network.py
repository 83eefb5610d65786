"""Networks from NIR files: they run, train, are profiled and go to chips as any other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from spikeformer.encoding import SpikeEncoder
from spikeformer.error_handling import HardwareCompatibilityError, check_choice, check_positive
from spikeformer.hardware.nir.export import nir_package
from spikeformer.hardware.nir.nodes import Time, node_of, shaped
from spikeformer.i18n import t

State = dict[str, Any]
"""What the nodes of a network remember, and what they sent last, by name."""


class NirNetwork(nn.Module):
    """A network read from a NIR file.

    Time is discrete with steps of `dt`: a `LIF` takes Euler's step `v <- v + dt / tau (v_leak - v +
    r I)`, or with `method="exact"` that by `1 - exp(-dt / tau)`; an `IF` `v <- v + dt r I`. A
    neuron that fires starts anew from 0. Edges that close a loop take a step; all others none.

    Args:
        path: The file.
        encoder: Turns samples into what comes in, (batch, timesteps, ...): `EventCoding` for
            recordings of spikes, `DirectCoding` for pictures. None takes sequences as they are.
        dt: Length of a timestep in seconds, which the file does not say.
        method: "euler", or "exact" for the solution at a current that is constant for a step.

    Raises:
        HardwareCompatibilityError: The file is not NIR, or holds a node that is not known here; the
            message names it.
        MissingDependencyError: The package `nir` is not installed.

    Source: Pedersen et al., 2024, doi:10.1038/s41467-024-52259-9.
    """

    has_head: ClassVar[bool] = True
    """Its outputs are a task's, not features for a head."""

    def __init__(
        self,
        path: str | Path,
        encoder: SpikeEncoder | None = None,
        *,
        dt: float = 1e-3,
        method: str = "euler",
    ) -> None:
        super().__init__()
        time = Time(check_positive("dt", dt), check_choice("method", method, ("euler", "exact")))
        self.encoder = encoder
        nodes, edges = _read(Path(path))
        self._inputs = [name for name, node in nodes.items() if type(node).__name__ == "Input"]
        self._outputs = [name for name, node in nodes.items() if type(node).__name__ == "Output"]
        if len(self._inputs) != 1 or len(self._outputs) != 1:
            counts = {"inputs": len(self._inputs), "outputs": len(self._outputs)}
            raise HardwareCompatibilityError(t("hardware.nir_ends", path=path, **counts))
        self.input_shape = tuple(int(n) for n in nodes[self._inputs[0]].input_type["input"])
        self._order, self._sources, self._loops = _in_order(nodes, edges, self._inputs)
        self.nodes = nn.ModuleDict(
            {
                _key(name): node_of(name, nodes[name], time)
                for name in self._order
                if name not in (*self._inputs, *self._outputs)
            }
        )

    @property
    def expected_shape(self) -> tuple[int, ...] | None:
        """Shape of one sample, where an encoder says how they come; others are reshaped to it."""
        if self.encoder is None:
            return None
        return self.encoder.sample_shape(self.input_shape)

    def forward(self, x: Tensor) -> Tensor:
        """Run samples from rest.

        Args:
            x: Samples as the encoder takes them; without one, (batch, timesteps, *input_shape).

        Returns:
            Shape (batch, timesteps, ...).

        Raises:
            SpikingDynamicsError: Frames have another number of elements than the file says.
        """
        frames = self._frames(x if self.encoder is None else self.encoder(x))
        if self._loops:
            return self.run(frames, {})[0]
        return self._pass(frames, lambda name, node, current: node(current), {})

    def run(self, frames: Tensor, state: State) -> tuple[Tensor, State]:
        """Run a stretch of a longer recording.

        Args:
            frames: Shape (batch, timesteps, *input_shape), encoded.
            state: What the last stretch returned; empty before the first.

        Returns:
            Outputs (batch, timesteps, ...) and the state behind them.
        """
        frames, state = self._frames(frames), dict(state)

        def go_on(name: str, node: Any, current: Tensor) -> Tensor:
            output: Tensor
            output, state[name] = node.run(current, state.get(name))
            return output

        if not self._loops:
            return self._pass(frames, go_on, state), state
        steps = [self._pass(frame, go_on, state) for frame in torch.split(frames, 1, dim=1)]
        return torch.cat(steps, dim=1), state

    def _pass(self, frames: Tensor, run: Any, state: State) -> Tensor:
        sent = {self._inputs[0]: frames}
        for name in self._order:
            if name in sent:
                continue
            parts = [sent[source] for source in self._sources[name]]
            earlier = map(_last, self._loops.get(name, ()))
            parts += [state[source] for source in earlier if source in state]
            current = _total(name, parts)
            sent[name] = (
                current if name in self._outputs else run(name, self.nodes[_key(name)], current)
            )
        for source in {source for sources in self._loops.values() for source in sources}:
            state[_last(source)] = sent[source]
        return sent[self._outputs[0]]

    def _frames(self, x: Tensor) -> Tensor:
        # Files of sinabs's have the time axis of the sample that they were written with.
        return x if x.shape[1:] == self.input_shape else shaped(x, self.input_shape)


def import_nir(
    path: str | Path,
    encoder: SpikeEncoder | None = None,
    *,
    dt: float = 1e-3,
    method: str = "euler",
) -> NirNetwork:
    """Read a network from a file of the Neuromorphic Intermediate Representation.

    Args:
        path: The file, as Norse, snnTorch, sinabs, Rockpool or `export_nir` write it.
        encoder: Turns samples into what comes in; None takes (batch, timesteps, ...) as it is. A
            network for a chip needs one, since it says how many timesteps a sample has.
        dt: Length of a timestep in seconds: 1 ms for this project, 0.1 ms for snnTorch, 1 for
            sinabs, 1e-6 for Norse, which writes time constants in steps of 1 ms.
        method: "euler", or "exact" for membranes that decay by `exp(-dt / tau)`, as sinabs's do.

    Raises:
        HardwareCompatibilityError: The file is not NIR, or holds a node that is not known here.
        MissingDependencyError: The package `nir` is not installed.

    Example:
        ```python
        network = import_nir("network.nir", EventCoding(timesteps=16))
        SimulationDeployer().compile(network)
        ```
    """
    return NirNetwork(path, encoder, dt=dt, method=method)


def _read(path: Path) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the nodes and edges of a file, those of graphs inside it among them."""
    nir = nir_package()
    if not path.is_file():
        raise HardwareCompatibilityError(t("hardware.nir_absent", path=path))
    try:
        # Norse writes inputs with a batch axis, which nir's check of types does not let pass.
        graph = nir.read(path, type_check=False)
        nodes, edges = _flat(graph)
    except Exception as error:  # whatever a damaged file lets h5py, numpy or nir raise
        raise HardwareCompatibilityError(
            t("hardware.nir_unreadable", path=path, reason=error)
        ) from error
    return nodes, edges


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
