"""Event sets in the layout in which they are published."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch

from spikeformer.data import DvsGestureDataModule, EventFolderDataModule, HeidelbergDataModule
from spikeformer.data.events import Recordings, Representation
from spikeformer.data.events.sets import GESTURES
from spikeformer.error_handling import DataError
from tests.data.events.files.writers import write_aedat3, write_bin
from tests.data.events.made import recordings


def test_n_mnist_as_it_is_unpacked(tmp_path):
    for split, count in (("Train", 3), ("Test", 2)):
        for digit in "01":
            (tmp_path / split / digit).mkdir(parents=True)
            for index in range(count):
                write_bin(tmp_path / split / digit / f"{index:05}.bin", recordings(9, seed=index))
    data = EventFolderDataModule(path=str(tmp_path), sensor_size=(34, 34), val_fraction=0)
    data.setup()
    assert (len(data.splits.train), len(data.splits.test)) == (6, 4)
    assert data.class_names == ["0", "1"]


@pytest.fixture
def gestures(tmp_path):
    """Two trials of two clips each, and what their events are."""
    trials = {}
    for number, split in enumerate(("train", "test")):
        one = recordings(200, seed=number)
        name = f"user0{number}_led.aedat"
        write_aedat3(tmp_path / name, one)
        labels = "class,startTime_usec,endTime_usec\n1,10000,40000\n11,50000,80000\n"
        (tmp_path / f"user0{number}_led_labels.csv").write_text(labels)
        (tmp_path / f"trials_to_{split}.txt").write_text(f"{name}\n")
        trials[split] = one
    return tmp_path, trials


def gesture_module(folder) -> DvsGestureDataModule:
    options = {"sensor_size": (5, 7), "image_size": (5, 7), "timesteps": 2, "val_fraction": 0}
    return DvsGestureDataModule(path=str(folder), **options)


def test_gestures_are_cut_out_of_their_recordings(gestures):
    folder, trials = gestures
    data = gesture_module(folder)
    data.setup()
    assert data.class_names == sorted([GESTURES[0], GESTURES[10]])
    for split, part in (("train", data.splits.train), ("test", data.splits.test)):
        one = trials[split]
        for row, (start, end) in enumerate(((10_000, 40_000), (50_000, 80_000))):
            inside = (one.t >= start) & (one.t < end)
            columns = [getattr(one, name)[inside] for name in "xytp"]
            clip = Recordings.of(*columns, height=5, width=7)
            assert torch.equal(part.inputs[row], Representation("time", 2, 5, 7)(clip)[0])
        assert [data.class_names[i] for i in part.targets] == [GESTURES[0], GESTURES[10]]


def test_trials_that_are_absent_or_broken_are_named(gestures):
    folder, _ = gestures
    with (folder / "trials_to_train.txt").open("a") as file:
        file.write("user09_led.aedat\nuser00_lab.aedat\n")
    (folder / "user00_lab.aedat").write_bytes((folder / "user00_led.aedat").read_bytes())
    (folder / "user00_lab_labels.csv").write_text("class,start,end\nclap,1,2\n")
    data = gesture_module(folder)
    data.setup()
    assert len(data.splits.train) == 2
    assert "user09_led.aedat" in data.summary()
    assert "user00_lab_labels.csv" in data.summary()


def test_a_folder_that_is_not_of_gestures_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"trials_to_train\.txt"):
        gesture_module(tmp_path).setup()


def write_hdf5(path, labels, names=(), seed=0):
    random = np.random.default_rng(seed)
    ragged = h5py.vlen_dtype(np.dtype("f8")), h5py.vlen_dtype(np.dtype("i8"))
    counts = random.integers(5, 30, size=len(labels))
    times = [np.sort(random.random(count)) for count in counts]
    units = [random.integers(700, size=count) for count in counts]
    with h5py.File(path, "w") as file:
        for key, kind, rows in (("times", ragged[0], times), ("units", ragged[1], units)):
            table = file.create_dataset(f"spikes/{key}", (len(rows),), dtype=kind)
            for row, values in enumerate(rows):
                table[row] = values
        file["labels"] = np.array(labels)
        if names:
            file["extra/keys"] = [name.encode() for name in names]
    return times, units


def spoken(folder, **options) -> HeidelbergDataModule:
    options = {"in_channels": 1, "image_size": (1, 70), "duration_ms": 1000.0, **options}
    data = HeidelbergDataModule(path=str(folder), timesteps=4, **options)
    data.setup()
    return data


def test_spoken_spikes_are_a_line_of_channels(tmp_path):
    names = ["zero", "one"]
    times, units = write_hdf5(tmp_path / "shd_train.h5", [1, 0, 1, 0, 1, 0], names)
    write_hdf5(tmp_path / "shd_test.h5", [0, 1], names, 1)
    data = spoken(tmp_path, val_fraction=0)
    frames = data.splits.train.inputs
    assert frames.shape == (6, 4, 1, 1, 70)
    expected = np.zeros((4, 70))
    since = np.rint(times[0] * 1e6) - np.rint(times[0][0] * 1e6)
    np.add.at(expected, ((since * 4 // 1e6).astype(int), units[0] // 10), 1)
    np.testing.assert_array_equal(frames[0, :, 0, 0], expected)
    assert data.class_names == ["one", "zero"]
    assert [data.class_names[i] for i in data.splits.train.targets[:2]] == ["one", "zero"]


def test_commands_bring_a_validation_split_and_numbers(tmp_path):
    for seed, split in enumerate(("train", "valid", "test")):
        write_hdf5(tmp_path / f"ssc_{split}.h5", [3, 11, 3], (), seed)
    data = spoken(tmp_path)
    assert [len(p) for p in (data.splits.train, data.splits.val, data.splits.test)] == [3, 3, 3]
    assert data.class_names == ["3", "11"]


def test_hdf5_that_is_none_is_named(tmp_path):
    write_hdf5(tmp_path / "shd_train.h5", [0, 1, 0, 1])
    (tmp_path / "shd_test.h5").write_bytes(b"no hdf5")
    data = spoken(tmp_path, val_fraction=0, test_fraction=0.5)
    assert (len(data.splits.train), len(data.splits.test)) == (2, 2)
    assert "shd_test.h5" in data.summary()
    (tmp_path / "shd_train.h5").unlink()
    with pytest.raises(DataError, match=r"_train\.h5"):
        spoken(tmp_path)


def damaged(folder, change):
    """Spoken digits whose first test recording `change` has damaged."""
    write_hdf5(folder / "shd_train.h5", [0, 1, 0, 1], ["a", "b"])
    write_hdf5(folder / "shd_test.h5", [0, 1, 0], ["a", "b"], 1)
    with h5py.File(folder / "shd_test.h5", "r+") as file:
        change(file)
    return spoken(folder, val_fraction=0)


@pytest.mark.parametrize("time", [np.nan, np.inf, -1e300])
def test_times_that_are_none_are_named(tmp_path, time):
    def change(file):
        file["spikes/times"][0] = np.array([0.1, time])
        file["spikes/units"][0] = np.array([3, 4])

    data = damaged(tmp_path, change)
    assert len(data.splits.test) == 2
    assert "2 times, 2 units" in data.summary()


def test_recordings_with_more_times_than_units_are_named(tmp_path):
    def change(file):
        file["spikes/units"][0] = np.array([3])

    data = damaged(tmp_path, change)
    assert len(data.splits.test) == 2
    assert "1 units" in data.summary()


def test_labels_without_a_name_are_numbers(tmp_path):
    def change(file):
        file["labels"][:2] = [-1, 5]

    assert damaged(tmp_path, change).class_names == ["5", "-1", "a", "b"]


def test_hdf5_that_is_damaged_is_named_and_the_rest_goes_on(tmp_path):
    write_hdf5(tmp_path / "shd_train.h5", [0, 1, 0, 1], ["a", "b"])
    write_hdf5(tmp_path / "shd_test.h5", [0, 1, 0], ["a", "b"], 1)
    whole, random = (tmp_path / "shd_test.h5").read_bytes(), np.random.default_rng(0)
    named = 0
    for _ in range(20):
        content = np.frombuffer(whole, np.uint8).copy()
        content[random.integers(len(whole), size=20)] = random.integers(256, size=20)
        (tmp_path / "shd_test.h5").write_bytes(content[: random.integers(len(whole))].tobytes())
        named += "shd_test.h5" in spoken(tmp_path, val_fraction=0, test_fraction=0.5).summary()
    assert named > 10
