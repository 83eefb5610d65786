from __future__ import annotations

from collections import Counter

import pytest

from spikeformer.error_handling import ArgumentError, DataError
from tests.data.sets import Rows


def numbers(part):
    return part.inputs.tolist()


AB = ["a", "b"] * 50


def test_validation_and_test_come_from_training_where_the_source_has_none(load):
    data = load({"rows": AB})
    splits = data.splits
    everything = numbers(splits.train) + numbers(splits.val) + numbers(splits.test)
    assert sorted(everything) == list(range(100))
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [72, 8, 20]
    for part in (splits.train, splits.val, splits.test):
        assert len(set(Counter(part.targets.tolist()).values())) == 1
    assert data.class_names == ["a", "b"]
    assert data.num_classes == 2


def test_the_sources_own_splits_are_used(load):
    splits = load({"train": AB, "dev": ["a", "b"], "test": ["b", "a", "a"]}).splits
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [100, 2, 3]
    assert splits.test.targets.tolist() == [1, 0, 0]


def test_an_unlabelled_test_split_gives_way_to_validation(load):
    splits = load({"train": [0, 1] * 20, "validation": [1, 0, 1], "test": [-1] * 5}).splits
    assert splits.test.targets.tolist() == [1, 0, 1]
    assert len(splits.val) == 4
    assert len(splits.train) == 36


def test_splits_can_be_named(load):
    data = load(
        {"train": AB, "dev": ["a"] * 2, "test": ["b"] * 3}, test_split="validation", val_fraction=0
    )
    assert len(data.splits.test) == 2
    assert data.splits.val is None


def test_limits_are_stratified_and_repeat(load, rows):
    splits = {"train": AB, "test": AB}
    data = load(splits, limit_train=40, limit_test=10)
    assert [len(p) for p in (data.splits.train, data.splits.val, data.splits.test)] == [36, 4, 10]
    assert Counter(data.splits.test.targets.tolist()) == {0: 5, 1: 5}
    again = load(splits, limit_train=40, limit_test=10, seed=9)
    other = load(splits, limit_train=40, limit_test=10, split_seed=9)
    assert numbers(data.splits.train) == numbers(again.splits.train)
    assert numbers(data.splits.train) != numbers(other.splits.train)
    assert len(load(splits, limit_train=1000).splits.train) == 90


@pytest.mark.parametrize(
    ("splits", "options", "message"),
    [
        ({"train": AB}, {"num_classes": 3}, r"data\.num_classes=3 but .* set data\.num_classes=2"),
        ({"train": AB}, {"label_key": "mood"}, r"'mood' is not a column.*'number', 'label'"),
        ({"train": AB}, {"label_key": None, "train_split": "learn"}, r"data\.train_split='learn'"),
        ({"train": AB}, {"test_split": "exam"}, r"data\.test_split='exam' is not a split"),
        ({"train": ["a", ""] * 9}, {}, "empty cells"),
        ({"train": [0.5, 1.5] * 9}, {}, "not classes"),
        ({"train": [-1] * 9, "test": [0, 1]}, {}, "no labels"),
        ({"train": AB, "test": ["a", "c"]}, {}, r"labels that the training split lacks: \['c'\]"),
        ({"train": ["a", "b"], "test": ["a"]}, {"val_fraction": 0.9}, "train split .* is empty"),
        ({"train": ["a"], "test": ["a"]}, {}, "single class, .a."),
    ],
)
def test_what_does_not_fit_is_named_with_its_remedy(load, splits, options, message):
    with pytest.raises(DataError, match=message):
        load(splits, **options)


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit_train": 0},
        {"limit_test": -1},
        {"num_classes": 0},
        {"split_seed": -1},
        {"val_fraction": 1.0},
        {"test_fraction": -0.5},
    ],
)
def test_values_outside_their_range(wrong):
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        Rows(path="x", **wrong)


def test_source_or_path_is_needed():
    with pytest.raises(ArgumentError, match="source"):
        Rows()


@pytest.mark.parametrize(
    "options",
    [
        {"train_split": "validation"},
        {"train_split": "test"},
        {"val_split": "test"},
        {"test_split": "validation"},
        {"val_split": "test", "train_split": "validation"},
    ],
)
def test_two_splits_never_share_rows(tmp_path, cache, options):
    """The rows of each file have numbers of their own."""
    for start, name in ((0, "validation"), (100, "test"), (200, "train")):
        rows = [f"{start + n},{'ab'[n % 2]}" for n in range(40)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["number,label", *rows]))
    data = Rows(path=str(tmp_path), cache_dir=cache, **options)
    data.setup()
    parts = [numbers(part) for part in (data.splits.train, data.splits.val, data.splits.test)]
    assert all(parts)
    assert len(set().union(*parts)) == sum(map(len, parts))


def test_a_lone_table_named_as_a_split_is_divided(tmp_path, cache, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "reviews_dev.csv"
    file.write_text("number,label\n" + "".join(f"{n},{n % 2}\n" for n in range(100)))
    for path in (file, tmp_path, "reviews_dev.csv", "."):
        data = Rows(path=str(path), cache_dir=cache)
        data.setup()
        assert [len(p) for p in (data.splits.train, data.splits.val, data.splits.test)] == [
            72,
            8,
            20,
        ]


def test_one_split_is_not_asked_for_twice():
    with pytest.raises(ArgumentError, match="three different splits"):
        Rows(path="x", val_split="test", test_split="test")
    with pytest.raises(ArgumentError, match="three different splits"):
        Rows(path="x", train_split="test", test_split="test")
