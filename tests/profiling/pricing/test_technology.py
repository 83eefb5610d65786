"""Technologies are found by name; chips bring their own."""

from __future__ import annotations

import pytest

from spikeformer import PROVIDERS
from spikeformer.profiling import TECHNOLOGIES, Chip, Cost, Range
from spikeformer.profiling.pricing.technology import Technologies


def chip(name: str, source: str) -> Chip:
    return Chip(name, synaptic_operation=Cost(Range.exactly(2.0), source))


def test_technologies_have_the_built_in_chips():
    assert {"simulation", "loihi1", "loihi2", "spinnaker"} <= set(TECHNOLOGIES)
    with pytest.raises(KeyError):
        TECHNOLOGIES["abakus"]


def test_technologies_import_a_provider_at_the_first_need(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "provider_of_prices.py").write_text(
        "from tests.profiling.pricing.test_technology import FOUND, chip\n"
        "FOUND[-1].register(chip('mine', 'theirs'), chip('other', 'theirs'))\n"
    )
    monkeypatch.setitem(PROVIDERS, "technologies", ("provider_of_prices",))
    FOUND.append(found := Technologies())
    found.register(chip("mine", "measured here"))
    assert found["mine"].source == "measured here"
    assert sorted(found) == ["mine", "other"]
    assert found["mine"].source == "measured here"  # own figures stay


FOUND: list[Technologies] = []
