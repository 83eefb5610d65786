"""The graph of a converted network as a picture in text: what the chip does, and what its host."""

from __future__ import annotations

from collections.abc import Iterator

from spikeformer.hardware.ir.functions import MOVES
from spikeformer.hardware.ir.hosted import HostedGraph
from spikeformer.hardware.ir.runtime import ENCODE, RATE, STATIC, HostOperation


def draw(graph: HostedGraph) -> str:
    """Return a Mermaid flowchart: a box for each population, a rounded one for each host's part.

    Operations of one module at one depth are one part, without those that only move elements.

    Args:
        graph: The network.
    """
    parts: dict[str, int] = {s.name: -number for number, s in enumerate(graph.sources, 1)}
    blocks: dict[tuple[int, str], list[HostOperation]] = {}
    numbers: dict[tuple[int, str], int] = {}
    for operation in graph.functions:
        key = operation.depth, operation.module
        numbers.setdefault(key, len(numbers))
        parts[operation.name] = numbers[key]
        if operation.function != RATE:
            blocks.setdefault(key, []).append(operation)
    chip = {p.name: number for number, p in enumerate(graph.neurons)}
    lines = ["flowchart TD"]
    lines += [f'  s{number}["{s.name}"]' for number, s in enumerate(graph.sources, 1)]
    for name, number in chip.items():
        lines.append(f'  c{number}["{name}, {graph.populations[name].size}"]:::chip')
    for key, number in numbers.items():
        lines.append(f'  h{number}("{key[1] or "network"}: {_calls(blocks.get(key, []))}"):::host')
    arrows = dict.fromkeys(_arrows(graph, parts, chip))
    lines += [f"  {start} --> {end}" for start, end in arrows if start != end]
    lines += ["  classDef chip fill:#cfe2f3", "  classDef host fill:#fce5cd"]
    return "\n".join(lines) + "\n"


def _calls(operations: list[HostOperation]) -> str:
    names = {ENCODE: "neurons", "native_layer_norm": "layer_norm", "_softmax": "softmax"}
    kept = [o.function for o in operations if o.function not in (*MOVES, "_to_copy")]
    once = "once, " if operations and operations[0].depth == STATIC else ""
    return once + ", ".join(dict.fromkeys(names.get(each, each) for each in kept)) or "reads"


def _arrows(
    graph: HostedGraph, parts: dict[str, int], chip: dict[str, int]
) -> Iterator[tuple[str, str]]:
    def place(value: str) -> str:
        number = parts[value]
        return f"s{-number}" if number < 0 else f"h{number}"

    for projection in graph.projections:
        yield f"c{chip[projection.source]}", f"c{chip[projection.target]}"
    for p in graph.differential:
        if p.source in parts:
            yield place(p.source), f"c{chip[p.name]}"
    for operation in graph.functions:
        if operation.function == RATE:
            yield f"c{chip[operation.arguments[0]]}", place(operation.name)
        for value in operation.values:
            if value in parts:
                yield place(value), place(operation.name)
