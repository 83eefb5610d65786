"""What is decoded goes through the cache."""

from __future__ import annotations

import torch

from spikeformer.caching import TensorCache
from spikeformer.data import ImageDataModule


def test_spectrograms_are_computed_once(data, tmp_path):
    plain = data().splits.train.inputs
    store = TensorCache(memory_mib=0, folder=tmp_path / "store")
    first = data(cache=store).splits.train.inputs
    assert (store.stats.hits, store.stats.misses) == (0, 3)
    again = data(cache=store).splits.train.inputs
    assert (store.stats.hits, store.stats.misses) == (3, 3)
    assert torch.equal(plain, first)
    assert torch.equal(plain, again)


def test_images_are_decoded_once_and_anew_if_anything_changes(image_parquet, cache):
    folder, store = str(image_parquet()), TensorCache(memory_mib=8)

    def load(**options):
        module = ImageDataModule(path=folder, cache_dir=cache, image_size=(8, 8), **options)
        module.cache = store
        module.setup()
        return module.splits.train.inputs

    first = load()
    assert torch.equal(load(), first)
    assert (store.stats.hits, store.stats.misses) == (3, 3)
    assert load(in_channels=1).shape[1] == 1
    assert store.stats.misses == 6
    load(split_seed=1)
    assert store.stats.misses == 8  # other images in training and validation, the same in test
