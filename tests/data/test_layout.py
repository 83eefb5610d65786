"""Which files are read, to which split and class they belong, and what is left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from spikeformer.data import ImageDataModule
from spikeformer.data.layout import (
    LeftOut,
    arrange_images,
    files_below,
    split_of_folder,
    split_of_table,
    splits_of_tables,
)
from spikeformer.error_handling import DataError


def arranged(*names):
    """Return {split: {class: number of images}} and what was left out."""
    left_out, found = LeftOut(), {}
    for picture in arrange_images("'x'", [Path(name) for name in names], left_out):
        classes = found.setdefault(picture.split, {})
        classes[picture.label] = classes.get(picture.label, 0) + 1
    return found, left_out.names


def files(folder, *names, count=1):
    return [f"{folder}/{name}/{n}.png" for name in names for n in range(count)]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *[(name, "train") for name in ("train", "Train", "TRAINING", " train ", "train_set")],
        *[(name, "test") for name in ("Test", "testing", "eval", "test images", "testset")],
        *[(name, "validation") for name in ("val", "valid", "dev", "val2017", "Validation-data")],
        *[(name, None) for name in ("trains", "my-train-1", "latest", "contest", "retest", "set")],
    ],
)
def test_a_split_is_the_whole_name_of_a_folder(name, split):
    assert split_of_folder(name) == split


@pytest.mark.parametrize(
    ("train", "test"),
    [("train", "test"), ("Train", "Test"), ("TRAIN ", "eval"), ("a/Train", "a/T")],
)
def test_splits_in_any_spelling(train, test):
    test = test.replace("a/T", "a/TEST")
    found, left_out = arranged(*files(train, "cat", "dog"), *files(test, "cat", "dog", count=2))
    assert found == {"train": {"cat": 1, "dog": 1}, "test": {"cat": 2, "dog": 2}}
    assert not left_out


def test_names_of_files_tell_nothing():
    names = ["cat/my-train-1.png", "cat/test_2.png", "dog/val.png", "dog/dev-3.png"]
    assert arranged(*names) == ({"train": {"cat": 2, "dog": 2}}, {})


def test_classes_may_be_named_as_splits():
    vehicles = ["train/1.png", "car/1.png", "plane/1.png"]
    assert arranged(*vehicles)[0] == {"train": {"train": 1, "car": 1, "plane": 1}}
    results = ["test/1.png", "train/1.png"]
    assert arranged(*results)[0] == {"train": {"test": 1, "train": 1}}
    deep = [*files("train", "steam", "diesel"), *files("car", "small", "large")]
    assert arranged(*deep)[0] == {"train": {"train": 2, "car": 2}}
    inside = [*files("train", "test", "train"), *files("test", "test", "train")]
    assert arranged(*inside)[0]["test"] == {"test": 1, "train": 1}


def test_folders_beside_splits_and_images_without_a_class_are_told():
    found, left_out = arranged(
        *files("train", "cat", "dog"),
        *files("unlabelled", "cat"),
        "test/1.png",
        "test/2.png",
        "x.png",
    )
    assert found == {"train": {"cat": 1, "dog": 1}}
    assert left_out == {
        "no_split": ["unlabelled/"],
        "no_class": ["x.png", "test/1.png", "test/2.png"],
    }


def test_what_lies_deeper_belongs_to_the_class():
    found, _ = arranged("set/cats/persian/1.png", "set/cats/2.png", "set/dogs/1.png")
    assert found == {"train": {"cats": 2, "dogs": 1}}
    split, _ = arranged("s/train/cats/a/b/1.png", "s/train/dogs/1.png", "s/test/cats/c/1.png")
    assert split == {"train": {"cats": 1, "dogs": 1}, "test": {"cats": 1}}
    single, _ = arranged("pictures/cats/1.png", "pictures/cats/more/2.png")
    assert single == {"train": {"cats": 2}}


@pytest.mark.parametrize(
    "names",
    [
        [*files("2020", "cat", "dog"), *files("2021", "cat", "dog")],
        [*files("cat", "train", "test"), *files("dog", "train", "test")],
    ],
)
def test_folders_that_may_mean_two_things_are_refused(names):
    with pytest.raises(DataError, match="unclear which of them are classes"):
        arranged(*names)


def test_images_without_any_folder_are_refused():
    with pytest.raises(DataError, match="none in a folder of its class"):
        arranged("1.png", "2.png")


def test_hidden_files_and_links_are_left_out(tmp_path):
    for name in ("a/1.png", "a/.2.png", ".git/3.png", "__MACOSX/a/._1.png", "a/Thumbs.db"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    left_out = LeftOut()
    assert files_below(tmp_path, left_out) == [Path("a/1.png")]
    assert sorted(left_out.names["hidden"]) == [".git/", "__MACOSX/", "a/.2.png", "a/Thumbs.db"]
    assert left_out.names["link"] == ["b/"]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train-00000-of-00002.parquet", "train"),
        ("data/dev.parquet", "validation"),
        ("Reviews_TEST.csv", "test"),
        ("Train/1.parquet", "train"),
        ("contest_latest.csv", None),
        ("train_and_test.csv", None),
        ("test/train_and_test.csv", None),
    ],
)
def test_splits_are_read_off_the_names_of_tables(name, split):
    assert split_of_table(Path(name)) == split


def grouped(root, *names):
    left_out = LeftOut()
    groups = splits_of_tables(root, [Path(name) for name in names], left_out)
    return {split: [str(file) for file in some] for split, some in groups.items()}, left_out.names


def test_tables_of_one_split_are_training_data(tmp_path):
    for names in (["reviews_dev.csv"], ["a.csv", "b.csv"], ["test-1.csv", "test-2.csv"]):
        assert grouped(tmp_path, *names) == ({"train": names}, {})


def test_tables_beside_those_of_splits_are_told(tmp_path):
    groups, left_out = grouped(tmp_path, "train.csv", "test.csv", "notes.csv")
    assert groups == {"train": ["train.csv"], "test": ["test.csv"]}
    assert left_out == {"no_split": ["notes.csv"]}
    groups, left_out = grouped(tmp_path, "rows.csv", "test.csv")
    assert groups == {"train": ["rows.csv"], "test": ["test.csv"]}


def test_one_file_in_two_splits_is_refused(tmp_path):
    (tmp_path / "train.csv").touch()
    (tmp_path / "test.csv").symlink_to(tmp_path / "train.csv")
    with pytest.raises(DataError, match="two splits, train and test"):
        grouped(tmp_path, "train.csv", "test.csv")


def test_what_was_found_is_told_in_one_line(tmp_path, cache):
    for split, number in (("Train", 4), ("Test", 2)):
        for label in ("cat", "dog"):
            folder = tmp_path / split / label
            folder.mkdir(parents=True)
            for n in range(number):
                Image.new("RGB", (8, 8), (n, 0, 0)).save(folder / f"{n}-train.png")
    (tmp_path / "extra" / "cat").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "extra" / "cat" / "1.png")
    (tmp_path / "notes.txt").touch()
    frames = [Image.new("L", (8, 8), 9 * n) for n in range(3)]
    frames[0].save(tmp_path / "Test" / "cat" / "9.gif", save_all=True, append_images=frames[1:])
    data = ImageDataModule(path=str(tmp_path), cache_dir=cache, image_size=(8, 8), val_fraction=0)
    data.setup()
    assert data.summary() == (
        "samples: train 8, test 5; 2 classes (cat, dog); left out: 1 of another kind (notes.txt); "
        "1 whose name tells no split (extra/); all but the first picture of 1 files "
        "(Test/cat/9.gif)"
    )
