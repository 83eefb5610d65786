from __future__ import annotations

from spikeformer.hardware.ir.drawing import draw
from tests.hardware.networks import hosted


def test_chip_and_host_are_drawn_apart():
    graph, _ = hosted()
    lines = draw(graph).splitlines()
    assert lines[0] == "flowchart TD"
    boxes = [line for line in lines if line.endswith(":::chip")]
    assert len(boxes) == len(graph.neurons)
    assert '  s1["pixel_values"]' in lines
    named = {line.split('"')[1]: line.split("(")[0].strip() for line in lines if ":::host" in line}
    block = "vit.layers.0"
    attention = named[f"{block}.attention: bmm, mul, softmax, neurons"]
    assert named[f"{block}.mlp.activation_fn: gelu"]
    chip = {line.split('"')[1].rpartition(", ")[0]: line.split("[")[0].strip() for line in boxes}
    # Queries reach the host's attention, and what it gives the next layer's neurons.
    assert f"  {chip[f'{block}.attention:matmul.left']} --> {attention}" in lines
    assert f"  {attention} --> {chip[f'{block}.attention.o_proj']}" in lines
    first, queries = chip[f"{block}.attention.q_proj"], chip[f"{block}.attention:matmul.left"]
    assert f"  {first} --> {queries}" in lines
    # Every arrow joins what is drawn.
    host = {line.split("(")[0].strip() for line in lines if ":::host" in line}
    drawn = {*host, *chip.values(), "s1"}
    ends = [end for line in lines if "-->" in line for end in line.strip().split(" --> ")]
    assert set(ends) <= drawn
    assert len(ends) // 2 == len({line for line in lines if "-->" in line})
