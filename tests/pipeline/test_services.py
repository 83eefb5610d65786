"""Caches, consents, platform and ranks are applied at one place."""

from __future__ import annotations

import lightning as L

from spikeformer.cli import compose as composed
from spikeformer.data import DigitsDataModule
from spikeformer.pipeline import Manifest
from spikeformer.pipeline.ranks import SameConfiguration
from spikeformer.pipeline.services import Services

PLAIN = ("logger=none", "trainer.accelerator=cpu")


def test_without_services_nothing_is_added(tmp_path):
    services, data = Services(composed(*PLAIN), tmp_path), DigitsDataModule()
    services.before_data(data)
    services.before_stages()
    own = L.Callback()
    first, second = services.around([own], data)
    assert isinstance(first, SameConfiguration)
    assert second is own
    assert list(tmp_path.iterdir()) == []


def test_the_platform_chooses_before_anything_is_made(tmp_path):
    config = composed("logger=none", "trainer.accelerator=cpu", "trainer.precision=auto")
    Services(config, tmp_path)
    assert config.trainer.precision == "32-true"


def test_before_data_gives_the_caches_memory(tmp_path):
    config = composed(*PLAIN, "cache=memory")
    services, data = Services(config, tmp_path), DigitsDataModule()
    services.before_data(data)
    assert services.caches is not None
    assert data.cache is services.caches.shared.tensors
    manifest = Manifest(tmp_path, "run")
    services.note_caches(manifest)
    assert manifest.cache["misses"] == 0
