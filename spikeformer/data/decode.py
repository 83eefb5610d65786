"""Image bytes to uint8 tensors, with Pillow."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm  # type: ignore[import-untyped]

from spikeformer.data.layout import LeftOut
from spikeformer.data.pictures import eight_bits
from spikeformer.data.sources import optional_import
from spikeformer.data.tables import Part
from spikeformer.error_handling import DataError
from spikeformer.files import UnsafePathError, inside
from spikeformer.i18n import t

MODES = {1: "L", 3: "RGB"}
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "MPO")
"""What is decoded. Others, as EPS, would start programs."""
CHUNK = 512


def encoded(table: Any, column: str, feature: str) -> Any:
    """The table's `column` alone, as undecoded `{"bytes": ..., "path": ...}`.

    Args:
        table: A `datasets.Dataset`.
        column: Name of the column.
        feature: "Image" or "Audio".
    """
    datasets = optional_import("datasets", t("data.for_reading"))
    try:
        cast = getattr(datasets, feature)(decode=False)
        return table.select_columns([column]).cast_column(column, cast)
    # Arrow calls a cast between types that do not go together not implemented.
    except (TypeError, ValueError, NotImplementedError) as error:
        raise DataError(
            t("data.not_encoded", key=feature.lower(), column=column, type=table.features[column])
        ) from error


def read_bytes(cell: dict[str, Any], roots: Sequence[Path]) -> bytes:
    """The content of one encoded cell, which carries it or names a file.

    Args:
        cell: The cell.
        roots: Folders in which the file must lie.

    Raises:
        UnsafePathError: The file lies elsewhere: by `..`, a root or a symbolic link.
        OSError: There is no such file.
    """
    content = cell["bytes"]
    if content is not None:
        return bytes(content)
    found: list[Path] = []
    for root in roots:
        with suppress(UnsafePathError):
            found.append(inside(root, cell["path"]))
    path = next((path for path in found if path.exists()), None)
    if path is None:
        absolute = found and Path(cell["path"]).is_absolute()
        path = found[0] if absolute else inside(roots[0], cell["path"])
    if path.exists() and not path.is_file():  # a pipe or a device
        raise OSError(errno.EINVAL, t("data.no_regular_file"), str(path))
    return path.read_bytes()


@dataclass(frozen=True)
class Look:
    """How images are decoded.

    Attributes:
        channels: 1 for grey, 3 for colour.
        size: (height, width); others are scaled and cropped about their centre.
        bit_depth: Bits that deep images use of 16; None takes the file's word.
        background: What shows where images are transparent, "white" or "black".
    """

    channels: int
    size: tuple[int, int]
    bit_depth: int | None = None
    background: str = "white"


def decode_image(content: bytes, look: Look, several: Callable[[], None] | None = None) -> Any:
    """Decode one image.

    Args:
        content: The encoded image, in one of `FORMATS`.
        look: How.
        several: Called if there are more pictures in it than the first, which is decoded.

    Returns:
        (channels, height, width) uint8.
    """
    pil = optional_import("PIL.Image", t("data.for_images"), package="pillow")
    ops = optional_import("PIL.ImageOps", t("data.for_images"), package="pillow")
    with pil.open(io.BytesIO(content), formats=FORMATS) as opened:
        if several and opened.format != "MPO" and getattr(opened, "n_frames", 1) > 1:
            several()
        mode = MODES[look.channels]
        image = eight_bits(opened, mode, bit_depth=look.bit_depth, background=look.background)
    if image.size != look.size[::-1]:
        image = ops.fit(image, look.size[::-1], pil.Resampling.BICUBIC)
    pixels = np.asarray(image, np.uint8)
    return pixels[None] if look.channels == 1 else pixels.transpose(2, 0, 1)


class ImageDecoder:
    """Decodes rows of a table, naming the row that fails."""

    def __init__(self, part: Part, column: str, look: Look, left_out: LeftOut) -> None:
        self.table, self.column = encoded(part.table, column, "Image"), column
        self.look, self.left_out = look, left_out
        self.name, self.roots = part.name, part.roots

    def __len__(self) -> int:
        return len(self.table)

    def rows(self, indices: Any, pool: ThreadPoolExecutor | None = None) -> np.ndarray:
        """Return the images of `indices`, (len(indices), channels, height, width) uint8."""
        cells = self.table[indices][self.column]
        numbers = range(indices.start, indices.stop) if isinstance(indices, slice) else indices
        return np.stack(list((pool.map if pool else map)(self._one, cells, numbers)))

    def _one(self, cell: dict[str, Any], number: int) -> np.ndarray:
        try:
            name = str(cell.get("path") or number)
            note = partial(self.left_out.add, "frames", name)
            return decode_image(read_bytes(cell, self.roots), self.look, note)
        except Exception as error:  # Pillow lets out whatever its readers stumble over
            path = t("data.no_image")
            if isinstance(cell, dict):
                path = cell.get("path") or t("data.no_file_name")
            raise DataError(
                t("data.broken_image", number=number, split=self.name, path=path, reason=error)
            ) from error

    def all(self) -> Tensor:
        """Decode everything, with a progress line if it takes more than a moment."""
        shape = (len(self), self.look.channels, *self.look.size)
        images = torch.empty(shape, dtype=torch.uint8)
        view = images.numpy()
        starts = range(0, len(self), CHUNK)
        # Pillow frees the interpreter lock while it decodes, so threads do help.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            doing = t("data.decoding_images", split=self.name)
            for start in tqdm(starts, doing, delay=1.0, leave=False):
                stop = min(start + CHUNK, len(self))
                view[start:stop] = self.rows(slice(start, stop), pool)
        return images


class DecodedBatches(Dataset[tuple[Tensor, Tensor]]):
    """Images decoded batch by batch, for sets that do not fit in memory.

    Args:
        decoder: The rows.
        targets: (samples,) int64.
    """

    decodes = True
    """Loading takes work, which workers can do beside the training."""

    def __init__(self, decoder: ImageDecoder, targets: Tensor) -> None:
        self.decoder, self.targets = decoder, targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        images, targets = self.__getitems__([index])
        return images[0], targets[0]

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return `(images, targets)` of `indices`."""
        images = torch.from_numpy(self.decoder.rows(list(indices)))
        return images.float().div_(255.0), self.targets[torch.as_tensor(indices)]
