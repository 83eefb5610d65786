"""The profiler learns the figures of every built-in target."""

from __future__ import annotations

import runpy
from pathlib import Path

from spikeformer import PROVIDERS
from spikeformer.hardware import targets
from spikeformer.profiling.pricing import technology


def test_prices_of_every_target_are_registered(monkeypatch):
    monkeypatch.setitem(PROVIDERS, "technologies", ())
    found = technology.Technologies()
    monkeypatch.setattr(technology, "TECHNOLOGIES", found)
    runpy.run_path(str(Path(targets.__file__).with_name("prices.py")))
    published = {
        price.name: price
        for deployer in targets.deployer_classes().values()
        for price in deployer.target.prices
    }
    assert dict(found) == published
    assert {"loihi1", "loihi2", "spinnaker", "spinnaker2"} <= set(found)
