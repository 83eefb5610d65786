"""The concept page states the constants of the code."""

from __future__ import annotations

import re

from spikeformer.profiling import PRECISIONS, TECHNOLOGIES, Chip
from spikeformer.profiling.pricing.cmos import INTEGER_ADD, INTEGER_MAC, MEMORY
from tests.runs import REPOSITORY

CHIPS = {name: chip for name, chip in TECHNOLOGIES.items() if isinstance(chip, Chip)}
PAGE = (REPOSITORY / "docs" / "concepts" / "energy.md").read_text()


def row(start: str) -> list[str]:
    (line,) = re.findall(rf"^\| {re.escape(start)} \|.*$", PAGE, flags=re.MULTILINE)
    return [cell.strip() for cell in line.strip("|").split("|")]


def numbers(cell: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", cell)]


def test_arithmetic():
    for name, title in (("fp32", "FP32"), ("fp16", "FP16"), ("int8", "INT8")):
        precision = PRECISIONS[name]
        expected = [precision.mac.energy_pj.value, precision.ac.energy_pj.value]
        assert numbers(row(f"{title} MAC, AC")[1]) == expected
    expected = [INTEGER_ADD.energy_pj.value, INTEGER_MAC.energy_pj.value]
    assert numbers(row("integer addition, MAC (addresses)")[1]) == expected
    assert numbers(row("access to 8 KiB, 32 KiB, 1 MiB")[1]) == list(MEMORY.values())


def test_chips():
    listed = re.findall(r"^\| `(\w+)` \| (?:at most )?\d", PAGE, flags=re.MULTILINE)
    assert set(listed) == set(CHIPS)
    for name, chip in CHIPS.items():
        cells = row(f"`{name}`")
        for cell, cost in zip(
            cells[1:4], (chip.synaptic_operation, chip.neuron_update, chip.packet), strict=True
        ):
            stated = set(numbers(cell)) - {0.0}
            if cost is None:
                assert not stated
                continue
            energy = cost.energy_pj
            if name == "loihi2":  # an upper bound and nothing else
                assert stated == {energy.high}
            else:
                assert stated == {energy.low, energy.value, energy.high}
    board = CHIPS["spinnaker"].idle.board
    assert f"draws {board} W before anything fires" in PAGE
    assert f"for 4 ms is {board * 4:.0f} mJ" in PAGE
