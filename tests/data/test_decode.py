"""Files of a stranger: what they name, and what they make a reader do."""

from __future__ import annotations

import io
import json
import os
import struct
import zlib

import datasets
import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from spikeformer.data import ImageDataModule
from spikeformer.data.decode import Look, decode_image, read_bytes
from spikeformer.error_handling import DataError
from spikeformer.files import UnsafePathError


def png(colour=9):
    stream = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), colour, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def bomb(width, height):
    """A small PNG that claims to be large."""

    def chunk(kind, content):
        head = struct.pack(">I", len(content)) + kind + content
        return head + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


@pytest.fixture
def load(tmp_path, cache):
    def load(path, **options):
        data = ImageDataModule(path=str(path), cache_dir=cache, image_size=(8, 8), **options)
        data.setup()
        return data

    return load


@pytest.fixture
def flowers(tmp_path):
    """A folder of images, two classes of six."""
    for name in ("rose", "tulip"):
        for number in range(6):
            file = tmp_path / "flowers" / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png(10 * number))
    return tmp_path / "flowers"


@pytest.fixture
def table(tmp_path):
    """Write a parquet file of images with two classes."""

    def write(cells, names=("x", "y")):
        features = datasets.Features(
            {"image": datasets.Image(), "label": datasets.ClassLabel(names=["x", "y"])}
        )
        schema = features.arrow_schema
        header = schema.metadata[b"huggingface"].decode()
        header = header.replace('["x", "y"]', json.dumps(list(names)))
        schema = schema.with_metadata({b"huggingface": header.encode()})
        rows = {"image": cells, "label": [n % 2 for n in range(len(cells))]}
        folder = tmp_path / "table"
        folder.mkdir()
        pyarrow.parquet.write_table(pyarrow.table(rows, schema=schema), folder / "train.parquet")
        return folder

    return write


@pytest.mark.parametrize("size", [20_000, 60_000])
@pytest.mark.parametrize("memory", [4.0, 1e-9])
def test_a_decompression_bomb_is_named(flowers, load, size, memory):
    (flowers / "rose" / "bomb.png").write_bytes(bomb(size, size))
    with pytest.raises(DataError, match=r"bomb\.png.*decompression bomb"):
        list(load(flowers, memory_limit_gib=memory, val_fraction=0.0).train_dataloader())


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n",
        b"",
        png()[:40],
        b"GIF89a" + b"\xff" * 50,
        b"II*\0" + b"\xff" * 200,
        b"RIFF\xff\xff\xff\xffWEBPVP8X" + b"\xff" * 50,
    ],
)
def test_no_image_is_named_and_nothing_is_started(flowers, load, content, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("starts a program"))
    monkeypatch.setattr("subprocess.check_call", lambda *_, **__: pytest.fail("starts a program"))
    (flowers / "rose" / "strange.png").write_bytes(content)
    with pytest.raises(DataError, match=r"strange\.png") as caught:
        load(flowers)
    assert "Ghostscript" not in str(caught.value)


def test_images_in_the_folder_are_found_from_anywhere(flowers, load, monkeypatch):
    absolute = load(flowers).splits.train
    monkeypatch.chdir(flowers.parent)
    assert len(load("flowers").splits.train) == len(absolute)
    (flowers.parent / "link").symlink_to(flowers)  # the person's own link to all of it
    assert len(load("link").splits.train) == len(absolute)


def test_links_out_of_an_image_folder_are_refused(flowers, load):
    (flowers.parent / "other.png").write_bytes(png())
    (flowers / "rose" / "x.png").symlink_to(flowers / "rose" / "1.png")
    load(flowers)
    (flowers / "rose" / "y.png").symlink_to(flowers.parent / "other.png")
    with pytest.raises(DataError, match=r"y\.png.*leads out of"):
        load(flowers)


@pytest.mark.parametrize("name", ["{tmp}/other.png", "../other.png", "in/../../other.png"])
def test_a_table_names_no_file_elsewhere(tmp_path, table, load, name):
    (tmp_path / "other.png").write_bytes(png())
    folder = table([{"bytes": None, "path": name.format(tmp=tmp_path)}] * 12)
    (folder / "in").mkdir()
    with pytest.raises(DataError, match="leads out of"):
        load(folder)


def test_a_table_names_files_beside_it(tmp_path, table, load):
    folder = table([{"bytes": None, "path": "in/a.png"}] * 12)
    (folder / "in").mkdir()
    (folder / "in" / "a.png").write_bytes(png())
    assert load(folder).splits.train.inputs.shape[1:] == (3, 8, 8)
    assert load(folder / "train.parquet").class_names == ["x", "y"]


def test_files_that_a_table_names_are_data_too(tmp_path, table, load):
    folder = table([{"bytes": None, "path": "in/a.png"}, {"bytes": png(), "path": "b.png"}] * 6)
    (folder / "in").mkdir()
    for file in (folder / "in" / "a.png", folder / "b.png"):
        file.write_bytes(png())
    assert load(folder).data_files() == [folder / "in" / "a.png", folder / "train.parquet"]
    rows = "".join(f"in/a.png,{n % 2}\n" for n in range(12))
    (tmp_path / "rows.csv").write_text(f"image,label\n{rows}")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(png())
    data = load(tmp_path / "rows.csv", image_key="image")
    assert data.data_files() == [tmp_path / "in" / "a.png", tmp_path / "rows.csv"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        read_bytes({"bytes": None, "path": "pipe"}, [tmp_path])
    with pytest.raises(UnsafePathError):
        read_bytes({"bytes": None, "path": "/dev/zero"}, [tmp_path])


@pytest.mark.parametrize("name", ["\ud800", "", "a\0b"])
def test_class_names_that_are_no_text(table, load, name):
    folder = table([{"bytes": png(), "path": None}] * 12, names=("x", name))
    with pytest.raises(DataError, match="which is no text"):
        load(folder)


def test_folder_names_that_are_no_text(flowers, load):
    try:
        (flowers / "rose").rename(flowers / os.fsdecode(b"caf\xe9"))
    except OSError:
        pytest.skip("the file system takes text alone")
    with pytest.raises(DataError):
        load(flowers)


def test_damage_anywhere_in_a_parquet_file_is_one_error(table, load, tmp_path):
    """Eight bytes overwritten, all over the file: it loads, or says which file is damaged."""
    folder = table([{"bytes": png(n), "path": None} for n in range(12)])
    whole = (folder / "train.parquet").read_bytes()
    told = []
    for place in range(4, len(whole) - 8, len(whole) // 12):
        damaged = bytearray(whole)
        damaged[place : place + 8] = b"\xff" * 8
        (folder / "train.parquet").write_bytes(damaged)
        try:
            load(folder)
        except DataError as error:
            told.append(str(error))
    assert len(told) > 3
    assert not any("\n" in line for line in told)


def test_decode_image_keeps_pixels():
    assert (decode_image(png(7), Look(3, (8, 8))) == 7).all()
