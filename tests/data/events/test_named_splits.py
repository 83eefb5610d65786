"""Files of splits: what they say of published sets, and what becomes of other copies."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from spikeformer.data import EventFolderDataModule
from spikeformer.data.events.files import READERS
from spikeformer.data.events.named_splits import FOLDER, NamedSplit, format_ranges, parse_ranges
from spikeformer.error_handling import DataError
from spikeformer.files.reading import UnreadableFileError
from tests.data.events.test_clips import module, sizes, write

CIFAR10_DVS = Counter(train=9000, test=1000)
PUBLISHED = {
    "cifar10_dvs_seed0": CIFAR10_DVS,
    "cifar10_dvs_seed1": CIFAR10_DVS,
    "cifar10_dvs_seed2": CIFAR10_DVS,
    "cifar10_dvs_last_tenth": CIFAR10_DVS,
    "dvs_gesture": Counter(train=98, test=24),
    "nmnist": Counter(train=60_000, test=10_000),
    "shd": Counter(train=8156, test=2264),
    "ssc": Counter(train=75_466, validation=9981, test=20_382),
}
"""Recordings of each split; of DVS128 Gesture, trials."""


def test_every_split_has_the_published_sizes():
    found = {
        path.stem: Counter(NamedSplit.read(path.stem).content.parts.values())
        for path in FOLDER.iterdir()
    }
    assert found == PUBLISHED


def test_drawn_splits_have_equal_shares_and_differ_by_seed():
    tested = []
    for seed in range(3):
        parts = NamedSplit.read(f"cifar10_dvs_seed{seed}").content.parts
        chosen = {key for key, part in parts.items() if part == "test"}
        assert set(Counter(group for group, _ in chosen).values()) == {100}
        tested.append(chosen)
    # Of two draws of a tenth, about a tenth of a draw is in both.
    assert all(50 < len(a & b) < 150 for a, b in ((tested[0], tested[1]), (tested[1], tested[2])))


def test_the_last_tenth_is_that_of_the_sorted_file_names():
    content = NamedSplit.read("cifar10_dvs_last_tenth").content
    names = sorted(f"cifar10_frog_{number}.npz" for number in range(1000))
    first = math.ceil(0.9 * len(names))
    for position, name in enumerate(names):
        part = content.parts[content.key(f"events_np/frog/{name}")]
        assert part == ("train" if position < first else "test")


@pytest.mark.parametrize(
    ("split", "path", "key", "part"),
    [
        ("nmnist", "N-MNIST/Train/7/00042.bin", ("Train", 42), "train"),
        ("nmnist", "Test/7/10000.bin", ("Test", 10_000), "test"),
        ("dvs_gesture", "user23_fluorescent_led.aedat", ("fluorescent_led", 23), "train"),
        ("dvs_gesture", "DvsGesture/user24_led.aedat", ("led", 24), "test"),
        ("ssc", "ssc_valid/9980", ("valid", 9980), "validation"),
        ("cifar10_dvs_seed0", "airplane/cifar10_airplane_2.aedat", ("airplane", 2), "test"),
        ("cifar10_dvs_seed0", "airplane/cifar10_airplane_0.aedat", ("airplane", 0), "train"),
    ],
)
def test_recordings_are_known_by_their_published_names(split, path, key, part):
    content = NamedSplit.read(split).content
    assert content.key(path) == key
    assert content.parts[key] == part


@pytest.mark.parametrize("path", ["user1x_led.aedat", "readme", "user04_led_labels/3.csv"])
def test_other_names_are_those_of_no_recording(path):
    assert NamedSplit.read("dvs_gesture").content.key(path) is None


def test_trials_that_were_not_recorded_are_not_named():
    parts = NamedSplit.read("dvs_gesture").content.parts
    assert ("fluorescent", 12) not in parts
    assert {user for (_, user), part in parts.items() if part == "test"} == set(range(24, 30))


@pytest.fixture
def own(tmp_path):
    """Write a file of a split of recordings `a/000` to `a/009` and `b/000` to `b/009`."""

    def build(**changes):
        content = {
            "about": "mine",
            "files": "{group}/{number}",
            "all": {"a": "0-9", "b": "0-9"},
            "test": {"a": 7, "b": "2 4"},
            **changes,
        }
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(content))
        return str(path)

    return build


def targets(part):
    return part.targets.bincount().tolist()


def test_recordings_are_divided_as_the_file_says(tmp_path, own):
    write(tmp_path / "set", classes=("a", "b"))
    data = module(tmp_path / "set", split=own(), val_fraction=0)
    assert (targets(data.splits.train), targets(data.splits.test)) == ([9, 8], [1, 2])
    data = module(tmp_path / "set", split=own(validation={"b": "0-1"}), val_fraction=0.5)
    assert [targets(p) for p in (data.splits.train, data.splits.test)] == [[9, 6], [1, 2]]
    assert targets(data.splits.val) == [0, 2]
    data = module(tmp_path / "set", split=own(), val_fraction=4 / 17)
    assert sizes(data) == [13, 4, 3]
    assert "left out" not in data.summary()


def test_the_file_is_of_the_runs_record(tmp_path, own):
    write(tmp_path / "set", classes=("a", "b"))
    data = module(tmp_path / "set", split=own())
    assert data.data_files()[-1] == tmp_path / "mine.yaml"
    told = str(data.named_split)
    assert told.startswith(str(tmp_path / "mine.yaml"))
    assert told in data.summary()
    assert str(module(tmp_path / "set", split=own(test={"a": 6, "b": 2})).named_split) != told


def test_absent_unknown_and_doubled_recordings_are_named_and_the_rest_goes_on(tmp_path, own):
    written = write(tmp_path / "set", classes=("a", "b"))
    folder = tmp_path / "set"
    (folder / "a" / "003.npz").unlink()
    (folder / "b" / "011.npz").write_bytes((folder / "b" / "000.npz").read_bytes())
    (folder / "b" / "extra.npz").write_bytes((folder / "b" / "000.npz").read_bytes())
    (folder / "b" / "copy").mkdir()
    (folder / "b" / "5.csv").write_text("t,x\n1,2\n")
    data = module(folder, split=own(), val_fraction=0)
    assert sizes(data) == [len(written) - 1 - 3, 0, 3]
    told = data.summary()
    assert "1 that data.split names and the folder lacks (a/3)" in told
    assert "2 that data.split does not name (b/011.npz, b/extra.npz)" in told
    assert "1 second copies of a recording (b/5.csv)" in told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": {"a": "3", "b": "99"}}, "b 99"),
        ({"test": {"a": "0-4"}, "validation": {"a": "4"}}, "a 4"),
        ({"test": {"a": "4-2"}}, "4-2"),
        ({"test": {"a": "some"}}, "some"),
        ({"files": "{group}/*"}, "group"),
        ({"all": 3}, "all"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(own, changes, message):
    with pytest.raises(UnreadableFileError, match=message):
        NamedSplit.read(own(**changes))


def test_no_such_split_or_a_folder_of_another_set(tmp_path, own):
    write(tmp_path / "set")
    for name in ("cifar10", "../splits/shd", str(tmp_path / "nothing.yaml")):
        with pytest.raises(DataError, match="cifar10_dvs_seed0"):
            EventFolderDataModule(path=str(tmp_path), split=name)
    with pytest.raises(DataError, match="names no recording"):
        module(tmp_path / "set", split="dvs_gesture")
    with pytest.raises(DataError, match="test split"):
        module(tmp_path / "set", split=own(all={"2": "0-9", "10": "0-9"}, test={}))


def test_the_ending_of_a_name_is_free(tmp_path, own):
    content = NamedSplit.read(own()).content
    assert {content.key(f"deep/a/007{ending}") for ending in READERS} == {("a", 7)}


@given(st.sets(st.integers(0, 60)))
def test_ranges_name_the_numbers_that_they_were_made_of(numbers):
    assert parse_ranges(format_ranges(numbers)) == sorted(numbers)
