"""Recordings in files: splits, classes, sizes, and what cannot be read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeformer.caching import TensorCache
from spikeformer.data import EventFolderDataModule
from spikeformer.data.events import Representation, clips
from spikeformer.data.preparation import Preparation
from spikeformer.error_handling import ArgumentError, DataError
from tests.data.events.files.writers import WRITERS
from tests.data.events.made import recordings


def write(folder, *, classes=("2", "10"), per_class=10, ending=".npz", first_seed=0):
    """Write recordings into class folders; return them by file."""
    found = {}
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(per_class):
            one = recordings(20, seed=first_seed + 100 * number + index)
            path = folder / name / f"{index:03}{ending}"
            WRITERS[ending](path, one)
            found[path] = one
    return found


def module(path, **options) -> EventFolderDataModule:
    options = {"timesteps": 3, "image_size": (5, 7), "sensor_size": (5, 7), **options}
    data = EventFolderDataModule(path=str(path), **options)
    data.setup()
    return data


def sizes(data):
    splits = data.splits
    return [0 if part is None else len(part) for part in (splits.train, splits.val, splits.test)]


def test_frames_and_classes_are_those_of_the_files(tmp_path, monkeypatch):
    monkeypatch.setattr(clips, "CHUNK", 3)
    written = write(tmp_path / "train", per_class=7)
    tests = write(tmp_path / "test", per_class=2, first_seed=50)
    data = module(tmp_path, val_fraction=0)
    assert sizes(data) == [14, 0, 4]
    assert data.class_names == ["2", "10"]
    represent = Representation("time", 3, 5, 7)
    for part, files in ((data.splits.train, written), (data.splits.test, tests)):
        order = sorted(files)
        expected = torch.cat([represent(files[path]) for path in order])
        assert torch.equal(part.inputs, expected)
        assert part.targets.tolist() == [int(path.parent.name == "10") for path in order]


def test_splits_are_drawn_with_equal_class_shares_and_stay_the_same(tmp_path):
    write(tmp_path, per_class=10)
    data, again = (module(tmp_path, test_fraction=0.2, val_fraction=0.25) for _ in range(2))
    assert sizes(data) == [12, 4, 4]
    for name in ("train", "val", "test"):
        one, two = (getattr(d.splits, name) for d in (data, again))
        assert torch.equal(one.inputs, two.inputs)
        assert one.targets.bincount().tolist() == [len(one) // 2] * 2
    other = module(tmp_path, test_fraction=0.2, split_seed=1)
    assert not torch.equal(other.splits.test.inputs, data.splits.test.inputs)
    assert sizes(module(tmp_path, limit_train=6, val_fraction=0)) == [6, 0, 2]


def test_files_that_cannot_be_read_are_named_and_the_rest_goes_on(tmp_path):
    written = write(tmp_path / "train")
    write(tmp_path / "test", per_class=2)
    paths = sorted(written)
    paths[0].write_bytes(b"")
    paths[1].write_bytes(paths[1].read_bytes()[:200])
    outside = recordings(5, height=9, width=9)
    WRITERS[".npz"](paths[2], outside)
    (tmp_path / "notes.txt").write_text("mine")
    data = module(tmp_path, val_fraction=0)
    assert sizes(data) == [17, 0, 4]
    told = data.summary()
    assert "3 that could not be read" in told
    for path in paths[:3]:
        assert path.name in told
    assert "more than data.sensor_size, 5 x 7" in told
    assert "notes.txt" in told
    assert len(data.data_files()) == 24
    assert data.summary() == told


def test_the_sensors_size_is_the_least_that_holds_all(tmp_path):
    write(tmp_path)
    WRITERS[".npz"](tmp_path / "2" / "large.npz", recordings(40, height=10, width=14))
    data = module(tmp_path, sensor_size=None)
    whole = module(tmp_path, sensor_size=(10, 14))
    assert torch.equal(data.splits.test.inputs, whole.splits.test.inputs)


def test_frames_are_cached_with_what_was_left_out(tmp_path, monkeypatch):
    written = write(tmp_path)
    sorted(written)[0].write_bytes(b"")
    cache, read = TensorCache(memory_mib=8), []

    def load(**options):
        data = EventFolderDataModule(
            path=str(tmp_path), sensor_size=(5, 7), **{"timesteps": 3, **options}
        )
        data.cache = cache
        original = data.read
        data.read = lambda clip: read.append(clip) or original(clip)
        data.setup()
        return data

    first = load()
    assert len(read) == 20
    second = load()
    assert len(read) == 21  # the one that cannot be read, to say why
    assert torch.equal(first.splits.train.inputs, second.splits.train.inputs)
    assert str(first.left_out) == str(second.left_out)
    load(timesteps=2)
    assert len(read) == 41
    WRITERS[".npz"](sorted(written)[1], recordings(30))
    load()
    assert len(read) == 61


def test_classes_keep_the_numbers_that_the_network_knows(tmp_path):
    write(tmp_path)
    data = EventFolderDataModule(path=str(tmp_path), sensor_size=(5, 7))
    data.use(Preparation(["10", "2"]))
    data.setup()
    assert data.class_names == ["10", "2"]


def test_all_formats_beside_each_other(tmp_path):
    for number, ending in enumerate(WRITERS):
        write(tmp_path, classes=["a", "b"], per_class=2, ending=ending, first_seed=number)
    assert sum(sizes(module(tmp_path))) == 4 * len(WRITERS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": None}, r"homepage\.org.* holds Train/0/1\.bin"),
        ({"path": "/nowhere/at/all"}, r"homepage\.org.* holds Train/0/1\.bin"),
        ({"path": None, "homepage": None}, "a folder for each class"),
        ({"num_classes": 3}, "num_classes=2"),
    ],
)
def test_other_data_are_refused(tmp_path, options, message):
    write(tmp_path)
    place = {"homepage": "https://homepage.org", "layout": "Train/0/1.bin"}
    options = {"path": str(tmp_path), **place, **options}
    data = EventFolderDataModule(sensor_size=(5, 7), **options)
    with pytest.raises(DataError, match=message):
        data.setup()


def test_a_folder_without_recordings_or_with_broken_ones_only(tmp_path):
    with pytest.raises(DataError, match="no recordings"):
        module(tmp_path)
    for path in write(tmp_path, per_class=1):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"nothing in.*could be read"):
        module(tmp_path)


@pytest.mark.parametrize(
    "options",
    [{"sensor_size": (5,)}, {"sensor_size": (0, 5)}, {"split_seed": -1}, {"limit_test": 0}],
)
def test_wrong_arguments_are_refused(options):
    with pytest.raises(ArgumentError):
        EventFolderDataModule(path="x", **options)


def test_files_of_a_run_are_those_that_are_read(tmp_path):
    written = write(tmp_path, per_class=2)
    data = EventFolderDataModule(path=str(tmp_path))
    assert data.data_files() == sorted(written)
    assert np.all([path.is_file() for path in data.data_files()])
