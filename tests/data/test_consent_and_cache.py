"""Tables go through the gate, and what is decoded goes through the cache."""

from __future__ import annotations

from collections import Counter

import datasets
import numpy as np
import pyarrow.parquet
import pytest
import soundfile
import torch

from spikeformer.caching import TensorCache
from spikeformer.compliance import ConsentGate
from spikeformer.data import AudioDataModule, ImageDataModule
from spikeformer.error_handling import ComplianceError, DataError
from tests.compliance.records import TRAINING, agreed, make


@pytest.fixture
def spoken(tmp_path):
    """A parquet folder: four speakers, two digits, three recordings of each."""
    folder = tmp_path / "spoken"
    folder.mkdir()
    random = np.random.default_rng(0)
    features = datasets.Features(
        {
            "audio": datasets.Audio(8000),
            "label": datasets.ClassLabel(names=["0", "1"]),
            "speaker": datasets.Value("string"),
        }
    )
    for split in ("train", "test"):
        rows: dict[str, list] = {"audio": [], "label": [], "speaker": []}
        for speaker in "abcd":
            for label in (0, 1) * 3:
                path = folder / "wave.wav"
                soundfile.write(path, random.uniform(-1, 1, 2000), 8000)
                rows["audio"].append({"bytes": path.read_bytes(), "path": None})
                rows["label"].append(label)
                rows["speaker"].append(speaker)
        # Not through `Dataset.from_dict`, whose audio encoding wants torchcodec.
        table = pyarrow.table(rows, schema=features.arrow_schema)
        pyarrow.parquet.write_table(table, folder / f"{split}.parquet")
    (folder / "wave.wav").unlink()
    return folder


@pytest.fixture
def data(spoken, cache):
    def load(**attributes):
        module = AudioDataModule(path=str(spoken), cache_dir=cache, num_frames=8, val_fraction=0.2)
        for name, value in attributes.items():
            setattr(module, name, value)
        module.setup()
        return module

    return load


@pytest.fixture
def manager(tmp_path):
    manager = make(tmp_path / "records")
    for name in "abc":
        agreed(manager, name)
    manager.withdraw_consent("c")
    return manager


def test_only_samples_of_people_who_agreed_are_used(data, manager):
    gate = ConsentGate(manager.folder)
    splits = data(gate=gate).splits
    assert len(splits.train) + len(splits.val) == 12
    assert len(splits.test) == 12
    assert gate.used == {"a": 12, "b": 12}
    assert {why: dict(who) for why, who in gate.left_out.items()} == {
        "unknown": {"d": 12},
        "withdrawn": {"c": 12},
    }


def test_what_a_run_used_is_on_record_without_names(data, manager, tmp_path):
    gate = ConsentGate(manager.folder)
    data(gate=gate)
    used = gate.record(tmp_path / "run")
    assert (used["subjects"], used["samples"]) == (2, 24)
    assert used["left_out"]["unknown"] == {"subjects": 1, "samples": 12}
    (run,) = manager.runs("a")
    assert run.subjects[manager.vault.pseudonym("a")] == 12
    assert manager.runs("c") == []
    assert manager.ledger.verify({used["ledger"]["entry"]: used["ledger"]["mac"]})
    before = gate.selection
    manager.withdraw_consent("b")
    later = ConsentGate(manager.folder)
    data(gate=later)
    assert later.selection != before


def test_a_withdrawal_after_reading_keeps_the_run_from_beginning(data, manager, tmp_path):
    for who in (
        manager.withdraw_consent,
        lambda name: manager.erase(manager.vault.pseudonym(name), "request"),
    ):
        manager.record_consent("a", [TRAINING])
        gate = ConsentGate(manager.folder)
        data(gate=gate)
        who("a")
        with pytest.raises(ComplianceError, match="start again"):
            gate.record(tmp_path / "run")
    assert manager.runs() == []


def test_nobody_agreed_or_nobody_is_named(data, manager, image_parquet, cache):
    for name in "ab":
        manager.handle_data_subject_request("erasure", name)
    with pytest.raises(DataError, match=r"12 samples of 2 subjects|spikeformer privacy consent"):
        data(gate=ConsentGate(manager.folder))
    with pytest.raises(DataError, match=r"compliance\.subject_key='who'.*'speaker'"):
        data(gate=ConsentGate(manager.folder, subject_key="who"))
    images = ImageDataModule(path=str(image_parquet()), cache_dir=cache)
    images.gate = ConsentGate(manager.folder)
    with pytest.raises(DataError, match=r"none is named as people are"):
        images.setup()


def test_without_records_nothing_is_trained(tmp_path):
    with pytest.raises(ComplianceError, match="spikeformer privacy init"):
        ConsentGate(tmp_path / "nowhere")


def test_a_gate_counts_each_person_once_per_sample(manager):
    gate = ConsentGate(manager.folder, purpose=TRAINING.value)
    assert gate.admitted(["a", "c", "a", "", "b"]) == [0, 2, 4]
    assert gate.used == Counter(a=2, b=1)
    assert gate.reasons() == "1 samples of 1 subject (unknown), 1 samples of 1 subject (withdrawn)"


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
