"""CSV files: separators, encodings, gaps, and words that look like gaps."""

from __future__ import annotations

import pytest

from spikeformer.data import TextDataModule
from spikeformer.data.delimited import read_csv
from spikeformer.error_handling import DataError


@pytest.fixture
def table(tmp_path):
    def read(*contents):
        files = []
        for number, content in enumerate(contents):
            files.append(tmp_path / f"{number}.csv")
            files[-1].write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_csv({"train": files})["train"].to_dict()

    return read


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_separators_and_quotes(table, mark):
    rows = table(f'text{mark}label\n"one{mark} and\nanother ""line"""{mark}a\nplain{mark}b\n')
    assert rows == {"text": [f'one{mark} and\nanother "line"', "plain"], "label": ["a", "b"]}


def test_one_column_holds_texts_with_commas(table):
    assert table("text\nto be, or not\nto, too, two\n") == {
        "text": ["to be, or not", "to, too, two"]
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(table, encoding):
    rows = table("text,label\nnaïve,é\n日本,b\n".encode(encoding))
    assert rows == {"text": ["naïve", "日本"], "label": ["é", "b"]}


def test_words_that_look_like_gaps_are_texts(table):
    words = ["None", "NA", "null", "nan", "N/A", "NULL", "NaN", "true", "-", "inf"]
    rows = table("text,label\n" + "".join(f"{word},{word}\n" for word in words) + '"",x\n,y\n')
    assert rows["text"] == [*words, "", None]
    assert rows["label"] == [*words, "x", "y"]


def test_a_column_is_numbers_if_all_of_it_is(table):
    rows = table("id,a,b,text\n007,1,0.5,5\n012,-2,1e3,7\n", "text,b,a,id\nx,,3,1\n")
    assert rows == {
        "id": ["007", "012", "1"],
        "a": [1, -2, 3],
        "b": [0.5, 1000.0, None],
        "text": ["5", "7", "x"],
    }
    late = table("text,label\n" + "x,1\n" * 12_000 + "x,one\n")
    assert set(late["label"]) == {"1", "one"}


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (["text,label\na,b\na,b,c\n"], "Expected 2 columns, got 3"),
        (["text,label\na\n"], "Expected 2 columns, got 1"),
        (["text,text\na,b\n"], "name each column once"),
        ([""], "name each column once"),
        (["text,label\na,b\n", "a,b\n1,2\n"], "1.csv has the columns 'a', 'b'"),
        (["text,label\nna\xefve,b\n".encode("latin-1")], "codec can.t decode"),
    ],
)
def test_rows_and_files_that_do_not_fit_are_refused(table, contents, message):
    with pytest.raises(ValueError, match=message):
        table(*contents)


@pytest.fixture
def load(tmp_path, cache):
    def load(content, **options):
        (tmp_path / "rows.csv").write_text(content)
        options = {"vocab_size": 300, "path": str(tmp_path / "rows.csv"), **options}
        data = TextDataModule(cache_dir=cache, **options)
        data.setup()
        return data

    return load


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (("None", "NA"), ["NA", "None"]),
        (("0.0", "1.0"), ["0", "1"]),
        (("2", "10"), ["2", "10"]),
        (("True", "False"), ["False", "True"]),
        (("good ", " bad"), ["bad", "good"]),
    ],
)
def test_classes(load, labels, names):
    rows = "".join(f"row {n},{labels[n % 2]}\n" for n in range(40))
    assert load(f"text,label\n{rows}").class_names == names


def test_a_text_of_numbers_is_no_reason_to_read_the_labels(load):
    rows = "".join(f"{n},{'ab'[n % 2]}\n" for n in range(40))
    data = load(f"text,label\n{rows}", val_fraction=0)
    inputs, _ = next(iter(data.test_dataloader()))
    texts = [data.encoder.tokenizer.decode(row.tolist()).strip() for row in inputs["input_ids"]]
    assert all(text.split()[0].isdigit() for text in texts)


def test_the_only_texts_beside_the_labels_are_found(load):
    rows = "".join(f"{n},tweet {n},{'ab'[n % 2]}\n" for n in range(40))
    assert load(f"id,tweet,label\n{rows}").class_names == ["a", "b"]
    with pytest.raises(DataError, match="text_key"):
        load("id,label\n" + "".join(f"{n},{'ab'[n % 2]}\n" for n in range(40)))
