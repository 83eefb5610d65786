"""The profiler learns the figures of every built-in target."""

from __future__ import annotations

import runpy

from spikeformer import PROVIDERS
from spikeformer.hardware.targets import deployer_classes
from spikeformer.profiling.pricing import technology


def test_prices_of_every_target_are_registered(monkeypatch):
    monkeypatch.setitem(PROVIDERS, "technologies", ())
    found = technology.Technologies()
    monkeypatch.setattr(technology, "TECHNOLOGIES", found)
    runpy.run_module("spikeformer.hardware.targets.prices")
    published = {
        price.name: price
        for deployer in deployer_classes().values()
        for price in deployer.target.prices
    }
    assert dict(found) == published
    assert {"loihi1", "loihi2", "spinnaker", "spinnaker2"} <= set(found)
