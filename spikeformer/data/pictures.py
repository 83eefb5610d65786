"""Any picture as 8-bit grey or colour: deep, real-valued, transparent and indexed ones too."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeformer.data.sources import optional_import
from spikeformer.error_handling import DataError
from spikeformer.i18n import t

BACKGROUNDS = ("white", "black")
BIT_DEPTHS = (10, 12, 14, 16)
_LEAST_OF_16_BITS = 4096
"""What has no value from here on, though it is stored in 16 bits, was hardly taken with 16."""
_ORIENTATION = 274
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""Pillow's transposition for each orientation of Exif."""
_MULTIPLE_BITS, _PHOTOMETRIC, _MAX_VALUE, _MAX_SAMPLE = 258, 262, 281, 341  # tags of TIFF


def eight_bits(image: Any, mode: str, *, bit_depth: int | None, background: str) -> Any:
    """Return a picture with 8 bits for each channel and no transparency.

    Grey values of b bits are scaled from [0, 2^b - 1], real ones from [0, 1]. Transparent pixels
    show the background. The picture stands as its camera was held.

    Args:
        image: A `PIL.Image.Image` as it was opened.
        mode: "L" or "RGB".
        bit_depth: Bits that are used of 16; None takes the file's word.
        background: "white" or "black".

    Raises:
        DataError: The file does not tell its range, holds values outside of it, or shows nothing
            on this background.
    """
    # What colours Pillow reads is told by what it is about to do.
    deep = any(";16" in str(tile[-1]) for tile in getattr(image, "tile", ()))
    image.load()
    turn = _TURNS.get(image.getexif().get(_ORIENTATION))
    if image.mode == "F" or image.mode.startswith("I"):
        values, opaque = _grey_values(image, bit_depth)
        pil = optional_import("PIL.Image", t("data.for_images"), package="pillow")
        grey = pil.fromarray(np.round(values * 255).astype(np.uint8))
        if not opaque.all():
            grey.putalpha(pil.fromarray(np.where(opaque, 255, 0).astype(np.uint8)))
        image = grey
    elif deep:
        _check_deep_colour(image, bit_depth)
    if image.has_transparency_data:
        image = _on_background(image.convert("RGBA"), background)
    # Of CMYK, palettes and the like Pillow makes colours first.
    image = image if image.mode == mode else image.convert("RGB").convert(mode)
    return image if turn is None else image.transpose(turn)


def _grey_values(image: Any, bit_depth: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return grey values in [0, 1], and where they are opaque."""
    stored = np.asarray(image)
    if image.mode == "F":
        values, top = stored.astype(np.float64), 1.0
    else:
        values, top = stored.astype(np.float64), _largest(image, stored, bit_depth)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= top):  # a NaN is neither
        raise DataError(t("data.outside_range", low=low, high=high, top=top))
    values = values / top
    if _tag(image, _PHOTOMETRIC) == 0:
        values = 1 - values  # the larger, the darker
    clear = image.info.get("transparency")
    opaque = stored != clear if isinstance(clear, int) else np.ones(stored.shape, bool)
    return values, opaque


def _largest(image: Any, stored: np.ndarray, bit_depth: int | None) -> float:
    """Return the value that means white."""
    if bit_depth is not None:
        return float(2**bit_depth - 1)
    for tag in (_MAX_SAMPLE, _MAX_VALUE):
        told = _tag(image, tag)
        if isinstance(told, int | float) and told > 0:
            return float(told)
    bits = _tag(image, _MULTIPLE_BITS)
    if image.format in ("PNG", "PPM") or (bits is None and image.mode != "I"):
        bits = 16
    if not isinstance(bits, int) or bits > 16:
        raise DataError(t("data.no_range", largest=int(stored.max())))
    if bits == 16 and 0 < stored.max() < _LEAST_OF_16_BITS:
        raise DataError(t("data.few_bits", largest=int(stored.max())))
    return float(2**bits - 1)


def _check_deep_colour(image: Any, bit_depth: int | None) -> None:
    """Refuse colours in 16 bits that use fewer: Pillow keeps the upper 8 bits alone."""
    largest = max(high for _, high in _extrema(image.convert("RGB")))
    if bit_depth not in (None, 16) or (bit_depth is None and 0 < largest < 16):
        raise DataError(t("data.few_bits_of_colours", largest=largest * 256 + 255))


def _on_background(image: Any, background: str) -> Any:
    """Return an RGBA picture on a background, in RGB."""
    pil = optional_import("PIL.Image", t("data.for_images"), package="pillow")
    shown = pil.alpha_composite(pil.new("RGBA", image.size, background), image).convert("RGB")
    flat = all(high - low <= 2 for low, high in _extrema(shown))
    if flat and any(high - low > 2 for low, high in _extrema(image)):
        other = next(name for name in BACKGROUNDS if name != background)
        raise DataError(t("data.shows_nothing", background=background, other=other))
    return shown


def _extrema(image: Any) -> list[tuple[int, int]]:
    extrema = image.getextrema()
    return list(extrema) if isinstance(extrema[0], tuple) else [extrema]


def _tag(image: Any, number: int) -> Any:
    value = getattr(image, "tag_v2", {}).get(number)
    return value[0] if isinstance(value, tuple) and value else value
