from __future__ import annotations

import os
import time
from pathlib import Path

import datasets
import pytest

from spikeformer.data.sources import load_tables, network_errors, optional_import
from spikeformer.error_handling import ArgumentError, DataError, MissingDependencyError


def test_parquet_splits_and_features(image_parquet, cache):
    tables = load_tables(None, str(image_parquet(per_class=4)), cache_dir=cache).tables
    assert {name: len(table) for name, table in tables.items()} == {"train": 12, "test": 12}
    assert type(tables["train"].features["img"]).__name__ == "Image"


def test_csv_tsv_and_json(tmp_path, cache):
    for name, content in {
        "a.csv": "text,label\nfine,0\nbad,1\n",
        "b.tsv": "text\tlabel\nfine\t0\nbad\t1\n",
        "c.jsonl": '{"text": "fine", "label": 0}\n{"text": "bad", "label": 1}\n',
    }.items():
        file = tmp_path / name
        file.write_text(content)
        table = load_tables(None, str(file), cache_dir=cache).tables["train"]
        assert table["text"][:] == ["fine", "bad"]
        assert table["label"][:] == [0, 1]


def test_absent_path(tmp_path):
    with pytest.raises(DataError, match=r"data\.path='.*nowhere' does not exist.*set data\.path"):
        load_tables(None, str(tmp_path / "nowhere"))


def test_folder_without_data(tmp_path):
    (tmp_path / "README.md").write_text("nothing here")
    with pytest.raises(DataError, match=r"holds no readable data.*\.parquet"):
        load_tables(None, str(tmp_path))
    with pytest.raises(DataError, match="holds no parquet files"):
        load_tables(None, str(tmp_path), format="parquet")


@pytest.mark.parametrize("damage", ["truncated", "not parquet", "empty"])
def test_damaged_parquet_names_the_file_and_leaves_nothing(image_parquet, tmp_path, damage):
    folder = image_parquet(per_class=4)
    file = folder / "test.parquet"
    whole = file.read_bytes()
    file.write_bytes(
        {"truncated": whole[: len(whole) // 2], "not parquet": b"hello", "empty": b""}[damage]
    )
    with pytest.raises(DataError, match=r"test\.parquet' is not a complete parquet file"):
        load_tables(None, str(folder), cache_dir=str(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


def test_classes_in_another_order_are_refused(tmp_path, cache):
    """Their numbers would be taken for those of the other file."""
    for split, names in (("train", ["cat", "dog"]), ("test", ["dog", "cat"])):
        features = datasets.Features(
            {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)}
        )
        rows = {"text": ["x", "y"], "label": [0, 1]}
        table = datasets.Dataset.from_dict(rows, features=features)
        table.to_parquet(str(tmp_path / f"{split}.parquet"))
    with pytest.raises(DataError, match=r"train\.parquet.*cat, dog.*dog, cat"):
        load_tables(None, str(tmp_path), cache_dir=cache)


def test_parquet_damaged_inside_leaves_no_half_written_copy(image_parquet, tmp_path):
    folder = image_parquet(per_class=10)
    file = folder / "train.parquet"
    content = bytearray(file.read_bytes())
    content[4:2000] = os.urandom(1996)
    file.write_bytes(bytes(content))
    with pytest.raises(DataError, match="cannot be read as parquet"):
        load_tables(None, str(folder), cache_dir=str(tmp_path / "cache"))
    left = [f for f in (tmp_path / "cache").rglob("*") if f.is_file() and f.suffix != ".lock"]
    assert left == []


def test_splits_with_different_columns(tmp_path, cache):
    (tmp_path / "train.csv").write_text("text,label\nfine,0\n")
    (tmp_path / "test.csv").write_text("a,b,c\n1,2,3\n")
    with pytest.raises(DataError, match="cannot be read as csv"):
        load_tables(None, str(tmp_path), cache_dir=cache)


def test_hub_set_without_a_network_fails_soon_and_says_what_to_do(tmp_path):
    start = time.monotonic()
    with pytest.raises(DataError) as caught:
        load_tables("uoft-cs/cifar10", None, cache_dir=str(tmp_path / "cache"))
    assert time.monotonic() - start < 15
    message = str(caught.value)
    assert "data.source='uoft-cs/cifar10' could not be reached" in message
    assert "data.path=/folder/with/parquet" in message
    assert not (tmp_path / "cache").exists()


def test_connection_error_of_the_hubs_client(monkeypatch, tmp_path):
    import huggingface_hub

    client = huggingface_hub.utils.get_session()
    error = next(
        e for e in network_errors() if type(client).__module__.split(".")[0] in e.__module__
    )

    def refuse(self, *_, **__):
        raise error("no route")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", refuse)
    with pytest.raises(DataError, match="could not be reached"):
        load_tables("a/b", None, cache_dir=str(tmp_path))


def test_unknown_hub_set(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import RepositoryNotFoundError

    def missing(self, *_, **__):
        error = RepositoryNotFoundError.__new__(RepositoryNotFoundError)
        raise error

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", missing)
    with pytest.raises(DataError, match=r"data\.source='a/b' does not exist"):
        load_tables("a/b", None)


def test_hub_set_cached_earlier_is_used_without_a_network(image_parquet, tmp_path):
    """A cache as `datasets` leaves it: <cache>/<owner>___<name>/<config>/<version>/<hash>."""
    import datasets

    table = load_tables(
        None, str(image_parquet(per_class=4)), cache_dir=str(tmp_path / "other")
    ).tables
    folder = tmp_path / "cache" / "someone___pictures" / "default" / "0.0.0" / "abc123"
    folder.mkdir(parents=True)
    info = table["train"].info.copy()
    info.builder_name, info.dataset_name, info.config_name = "parquet", "pictures", "default"
    info.splits = datasets.SplitDict()
    for name, part in table.items():
        from datasets.arrow_writer import ArrowWriter

        with ArrowWriter(path=str(folder / f"pictures-{name}.arrow"), features=part.features) as w:
            w.write_table(part.data.table)
            w.finalize()
        info.splits.add(datasets.SplitInfo(name, num_examples=len(part), dataset_name="pictures"))
    info.write_to_directory(str(folder))
    found = load_tables("someone/pictures", None, cache_dir=str(tmp_path / "cache")).tables
    assert {name: len(part) for name, part in found.items()} == {"train": 12, "test": 12}


def test_neither_source_nor_path():
    with pytest.raises(ArgumentError, match="source"):
        load_tables(None, None)


def test_unknown_format(tmp_path):
    with pytest.raises(ArgumentError, match="'parquet'"):
        load_tables(None, str(tmp_path), format="xls")


def test_missing_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "kornia", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'spikeformer\[data\]'"):
        optional_import("kornia", "image augmentation")


def test_home_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DataError, match=str(Path(tmp_path) / "sets")):
        load_tables(None, "~/sets")


def test_hub_set_with_a_network(monkeypatch, image_parquet, cache):
    """As if the hub answered: what is asked of `datasets`, and how its refusals are told."""
    import datasets
    import huggingface_hub

    tables = load_tables(None, str(image_parquet(per_class=2)), cache_dir=cache).tables
    asked = []

    def load(name, subset, *, cache_dir):
        asked.append((name, subset, cache_dir))
        if subset == "wrong":
            raise ValueError("BuilderConfig 'wrong' not found. Available: ['a', 'b']")
        return datasets.DatasetDict(tables)

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: None)
    monkeypatch.setattr(datasets, "load_dataset", load)
    assert set(load_tables("a/b", None, subset="c", cache_dir="d").tables) == {"train", "test"}
    assert asked == [("a/b", "c", "d")]
    with pytest.raises(DataError, match=r"data\.source='a/b' cannot be loaded.*'wrong'.*subset"):
        load_tables("a/b", None, subset="wrong")


@pytest.mark.parametrize(
    "line",
    ['{"text": "x", "label": ' + "[" * 5000 + "]" * 5000 + "}", "\0\0", '{"text": "\\ud800"}'],
)
def test_json_that_is_none(tmp_path, cache, line):
    (tmp_path / "train.jsonl").write_text(f"{line}\n" * 3)
    with pytest.raises(DataError, match="cannot be read as json"):
        load_tables(None, str(tmp_path), cache_dir=cache)
