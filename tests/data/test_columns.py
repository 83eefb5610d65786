"""Columns are found by what they hold, and labels become class numbers."""

from __future__ import annotations

import pytest

from spikeformer.error_handling import DataError
from tests.data.sets import Rows


@pytest.mark.parametrize(
    ("labels", "names"), [([3, 1, 7, 1], ["1", "3", "7"]), (["x", "b", "x", "b"], ["b", "x"])]
)
def test_classes_are_the_sorted_values(load, labels, names):
    data = load({"train": labels * 5, "test": labels})
    assert data.class_names == names
    expected = [names.index(str(label)) for label in labels]
    assert data.splits.test.targets.tolist() == expected


def test_boolean_labels(load):
    assert load({"train": ["true", "false"] * 9, "test": ["true"]}).num_classes == 2


def test_labels_that_cannot_be_found(tmp_path, cache):
    (tmp_path / "rows.csv").write_text("number,mood\n1,2\n")
    data = Rows(path=str(tmp_path), cache_dir=cache)
    with pytest.raises(DataError, match=r"data\.label_key is not set and no column fits.*'mood'"):
        data.setup()


def test_declared_class_names_and_labels_outside_them(tmp_path, cache):
    import datasets

    names = ["no", "yes"]
    for split, labels in {"train": [0, 1] * 10, "test": [1, 0]}.items():
        rows = {"number": list(range(len(labels))), "verdict": labels}
        table = datasets.Dataset.from_dict(rows)
        table = table.cast_column("verdict", datasets.ClassLabel(names=names))
        table.to_parquet(str(tmp_path / f"{split}.parquet"))
    data = Rows(path=str(tmp_path), cache_dir=cache)
    data.setup()
    assert data.class_names == names
    rows = {"number": [0, 1, 2], "verdict": [0, -1, 1]}
    features = datasets.Features(
        {"number": datasets.Value("int64"), "verdict": datasets.ClassLabel(names=names)}
    )
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "test.parquet"))
    again = Rows(path=str(tmp_path), cache_dir=cache)
    with pytest.raises(DataError, match="1 samples whose label is outside 0 to 1"):
        again.setup()
