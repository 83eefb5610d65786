"""Pictures of every kind become 8 bits in their stated range, or are refused by name."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from spikeformer.data.decode import Look, decode_image
from spikeformer.error_handling import DataError

SIDE = 4
RAMP = np.linspace(0, 1, SIDE * SIDE).reshape(SIDE, SIDE)


def file(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png16(pixels):
    """Encode (height, width, channels) uint16 with 16 bits each, which Pillow cannot write."""
    height, width, channels = pixels.shape

    def chunk(kind, content):
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def decode(content, channels=1, **look):
    return decode_image(content, Look(channels, (SIDE, SIDE), **look))


def deep(bits, dtype=np.uint16):
    return np.round(RAMP * (2**bits - 1)).astype(dtype)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("content", "look"),
    [
        (file(Image.fromarray(deep(16))), {}),
        (file(Image.fromarray(deep(16)), "TIFF"), {}),
        (file(Image.fromarray(deep(16, ">u2")), "TIFF"), {}),
        (file(Image.fromarray(deep(12))), {"bit_depth": 12}),
        (file(Image.fromarray(deep(10)), "TIFF"), {"bit_depth": 10}),
        (file(Image.fromarray(deep(12)), "TIFF", tiffinfo={281: 4095}), {}),
        (file(Image.fromarray(deep(16, np.int32)), "TIFF"), {"bit_depth": 16}),
        (file(Image.fromarray(RAMP.astype(np.float32)), "TIFF"), {}),
        (b"P5\n4 4\n4095\n" + deep(12, ">u2").tobytes(), {}),
        (png16(np.stack([deep(16)] * 3, -1)), {}),
        (png16(np.stack([deep(16), np.full_like(deep(16), 65535)], -1)), {}),
    ],
)
def test_deep_and_real_values_are_scaled_from_their_range(content, look, channels):
    pixels = decode(content, channels, **look)
    expected = np.broadcast_to(RAMP * 255, (channels, SIDE, SIDE))
    np.testing.assert_allclose(pixels, expected, atol=1)


def test_the_larger_the_darker():
    content = file(Image.fromarray(deep(16)), "TIFF", tiffinfo={262: 0})
    if Image.open(io.BytesIO(content)).tag_v2[262] != 0:
        content = content.replace(
            struct.pack("<HHIHH", 262, 3, 1, 1, 0), struct.pack("<HHIHH", 262, 3, 1, 0, 0)
        )
    np.testing.assert_allclose(decode(content)[0], 255 - RAMP * 255, atol=1)


@pytest.mark.parametrize(
    ("content", "look", "message"),
    [
        (file(Image.fromarray(deep(12))), {}, "largest value is 4095.*data.bit_depth"),
        (file(Image.fromarray(deep(12)), "TIFF"), {}, "largest value is 4095"),
        (file(Image.fromarray(deep(16))), {"bit_depth": 12}, "reach from 0 to 65535"),
        (file(Image.fromarray(deep(16, np.int32)), "TIFF"), {}, "which value means white"),
        (file(Image.fromarray((RAMP * 255).astype(np.float32)), "TIFF"), {}, "0 to 255"),
        (file(Image.fromarray((RAMP - 0.5).astype(np.float32)), "TIFF"), {}, "from -0.5"),
        (file(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF"), {}, "nan"),
        (png16(np.stack([deep(12)] * 3, -1)), {}, "no value is above 4095"),
        (png16(np.stack([deep(16)] * 3, -1)), {"bit_depth": 12}, "8 bits for each colour"),
    ],
)
def test_a_range_that_is_not_told_is_refused(content, look, message):
    with pytest.raises(DataError, match=message):
        decode(content, **look)


def test_a_dark_picture_passes_where_the_bits_are_told():
    assert decode(file(Image.fromarray(deep(12))), bit_depth=16).max() == 16
    assert decode(file(Image.fromarray(np.zeros((4, 4), np.uint16)))).max() == 0
    assert decode(png16(np.stack([deep(12)] * 3, -1)), 3, bit_depth=16).max() == 15


def drawing(mode, colour=0):
    """A drawing of one colour whose shape is in its transparency alone."""
    alpha = np.where(np.eye(SIDE, dtype=bool), 255, 0).astype(np.uint8)
    grey = Image.new("L", (SIDE, SIDE), colour)
    grey.putalpha(Image.fromarray(alpha))
    if mode == "P":
        indexed = Image.fromarray(1 - np.eye(SIDE, dtype=np.uint8), "P")
        indexed.putpalette([colour] * 6)
        return file(indexed, transparency=1)
    if mode == "tRNS":
        pixels = np.where(np.eye(SIDE, dtype=bool), colour, 200).astype(np.uint8)
        return file(Image.fromarray(pixels), transparency=200)
    if mode == "I;16":
        pixels = np.where(np.eye(SIDE, dtype=bool), colour * 257, 51400).astype(np.uint16)
        return file(Image.fromarray(pixels), transparency=51400)
    return file(grey.convert(mode), "WEBP" if mode == "RGBA" else "PNG", lossless=True)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P", "tRNS", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_pixels_show_the_background(mode, channels):
    dark = decode(drawing(mode), channels)
    assert (dark == np.where(np.eye(SIDE), 0, 255)).all()
    light = decode(drawing(mode, 255), channels, background="black")
    assert (light == np.where(np.eye(SIDE), 255, 0)).all()


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_a_drawing_that_would_vanish_is_refused(mode):
    with pytest.raises(DataError, match=r"nothing on white; set data\.background=black"):
        decode(drawing(mode, 255))
    with pytest.raises(DataError, match=r"nothing on black; set data\.background=white"):
        decode(drawing(mode, 0), background="black")


def test_half_transparent_pixels_are_mixed():
    image = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0))
    image.putpixel((0, 0), (0, 0, 0, 128))
    assert decode(file(image))[0, 0, 0] == 127


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind):
    red = Image.new("CMYK", (SIDE, SIDE), (0, 255, 255, 0))
    np.testing.assert_allclose(decode(file(red, kind), 3)[:, 0, 0], [255, 0, 0], atol=3)
    np.testing.assert_allclose(decode(file(red, kind))[0, 0, 0], 76, atol=3)


def test_palettes_and_single_bits():
    indexed = Image.fromarray(np.eye(SIDE, dtype=np.uint8), "P")
    indexed.putpalette([10, 20, 30, 200, 100, 50])
    assert decode(file(indexed, "GIF"), 3)[:, 0, 0].tolist() == [200, 100, 50]
    assert decode(file(indexed), 3)[:, 0, 1].tolist() == [10, 20, 30]
    bits = Image.fromarray(np.eye(SIDE, dtype=bool))
    assert (decode(file(bits))[0] == np.eye(SIDE) * 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "deep"])
def test_pictures_stand_as_the_camera_was_held(orientation, kind):
    """Undo what the tag says by hand: NumPy's turn or flip that it stands for (Exif 2.3, 4.6.4)."""
    stored = np.round(RAMP * 255).astype(np.uint8)
    shown = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.T,
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].T,
        8: np.rot90(stored),
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    image = Image.fromarray(stored.astype(np.uint16) * 257 if kind == "deep" else stored)
    content = file(image, "PNG" if kind == "deep" else kind, exif=exif)
    assert (decode(content)[0] == shown).all()


def test_the_first_of_several_pictures_counts_and_that_is_told():
    frames = [Image.new("L", (SIDE, SIDE), 60 * n) for n in range(3)]
    told = []
    for kind in ("GIF", "TIFF", "WEBP", "PNG"):
        content = file(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
        pixels = decode_image(content, Look(1, (SIDE, SIDE)), lambda kind=kind: told.append(kind))
        assert pixels.max() == 0
    assert told == ["GIF", "TIFF", "WEBP", "PNG"]
    decode_image(file(frames[0]), Look(1, (SIDE, SIDE)), lambda: told.append("single"))
    assert "single" not in told
