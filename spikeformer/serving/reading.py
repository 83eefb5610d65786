"""From the body of a request to the inputs of a network."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from spikeformer.data import DigitsDataModule, ImageDataModule, SpikingDataModule, TextDataModule
from spikeformer.data.batch import as_floats
from spikeformer.data.decode import Look, decode_image
from spikeformer.data.tokenizer import Encoder, encoder_from, pretrained_encoder
from spikeformer.error_handling import SpikeformerError

_STEP = 16
"""Sentences are padded to a multiple of this, so that those of about one length share a batch."""


class BadRequestError(SpikeformerError, ValueError):
    """A request that the network cannot take; the message says what it expects."""


class RequestReader:
    """Reads requests for one network, prepared as the data of its training were.

    Args:
        data: Those data, not set up: size and colours of images, tokenizer. None if unknown.
        shape: Shape of a sample that the network takes; None if it takes several.
        max_samples: Most samples of a request.

    Example:
        >>> RequestReader(None, (2,)).json(b'{"inputs": [[1, 2], [3, 4]]}').shape
        torch.Size([2, 2])
    """

    def __init__(
        self,
        data: SpikingDataModule | None,
        shape: Sequence[int] | None = None,
        *,
        max_samples: int = 32,
    ) -> None:
        self.data, self.max_samples = data, max_samples
        self.shape = None if shape is None else tuple(shape)
        self.look = _look(data)
        self._encoder = _encoder(data)

    @property
    def takes(self) -> list[str]:
        """What bodies it reads, as content types."""
        more = ["image/*"] if self.look else []
        if self._encoder is not None:
            more.append("text/plain")
        return ["application/json", "application/x-npy", *more]

    def read(self, content_type: str, body: bytes) -> Any:
        """Return the inputs that a body holds.

        Args:
            content_type: Of HTTP, as "image/png".
            body: The content.

        Raises:
            BadRequestError: It is of another type, cannot be read, or does not fit the network.
        """
        if content_type == "application/json":
            return self.json(body)
        if content_type in ("application/x-npy", "application/octet-stream"):
            return self.array(body)
        if content_type.startswith("image/"):
            return self.image(body)
        if content_type == "text/plain":
            try:
                return self.texts([body.decode()])
            except UnicodeDecodeError as error:
                raise BadRequestError(f"Expected text in UTF-8: {error.reason}.") from error
        expected = ", ".join(self.takes)
        raise BadRequestError(f"Expected a body of type {expected}, got {content_type!r}.")

    def json(self, body: bytes) -> Any:
        """Return the inputs of `{"inputs": ...}` or `{"texts": [...]}`."""
        try:
            content = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise BadRequestError(f"Expected JSON: {error}.") from error
        found = set(content) & {"inputs", "texts"} if isinstance(content, dict) else set()
        if len(found) != 1:
            raise BadRequestError(
                'Expected {"inputs": [sample, ...]}, or {"texts": ["a sentence", ...]}.'
            )
        if "texts" in found:
            texts = content["texts"]
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise BadRequestError('Expected "texts" to be a list of strings.')
            return self.texts(texts)
        inputs = content["inputs"]
        if isinstance(inputs, Mapping):
            return self._named(inputs)
        return self._samples(_numbers(inputs))

    def array(self, body: bytes) -> Tensor:
        """Return the inputs of a file that `numpy.save` writes: numbers, one row for a sample."""
        message = "Expected the bytes of a .npy file of numbers, as numpy.save writes."
        try:
            # A header can name any size.
            shape, dtype = _npy_header(body)
            if dtype.kind not in "biuf" or math.prod(shape) * dtype.itemsize > len(body):
                raise BadRequestError(message)
            values: np.ndarray = np.load(io.BytesIO(body), allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise BadRequestError(message) from error
        return self._samples(values)

    def image(self, body: bytes) -> Tensor:
        """Return an encoded image as a sample."""
        if self.look is None:
            raise BadRequestError("This network takes no images: send its inputs as JSON or .npy.")
        try:
            pixels = decode_image(body, self.look)
        except Exception as error:  # Pillow lets out whatever its readers stumble over
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise BadRequestError(f"Expected an image that Pillow reads: {reason}") from error
        return self._samples(pixels[None])

    def texts(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Return sentences as token ids with their mask."""
        encoder, data = self._encoder, self.data
        if encoder is None or not isinstance(data, TextDataModule):
            raise BadRequestError("This network takes no texts: send its inputs as JSON or .npy.")
        self._check_count(len(texts))
        rows = [ids[: data.max_length] or [encoder.empty_id] for ids in encoder.encode(texts)]
        longest = max(map(len, rows))
        length = min(data.max_length, -(-longest // _STEP) * _STEP)
        ids = torch.full((len(rows), length), encoder.pad_id, dtype=torch.long)
        mask = torch.zeros((len(rows), length), dtype=torch.bool)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = True
        return {"input_ids": ids, "mask": mask}

    def _named(self, inputs: Mapping[str, Any]) -> dict[str, Tensor]:
        named = {name: _tensor(_numbers(values)) for name, values in inputs.items()}
        lengths = {len(x) if x.ndim else 0 for x in named.values()}
        if len(lengths) != 1:
            raise BadRequestError("Expected named inputs of one number of samples.")
        self._check_count(lengths.pop())
        return {name: x.bool() if name == "mask" else x for name, x in named.items()}

    def _samples(self, values: np.ndarray) -> Tensor:
        """Return samples of the network's shape; one alone is a batch of one."""
        shape = self.shape
        if shape is not None and values.shape == shape:
            values = values[None]
        if values.ndim < 1 or (shape is not None and values.shape[1:] != shape):
            rest = ("...",) if shape is None else shape
            expected = f"(samples, {', '.join(map(str, rest))})"
            raise BadRequestError(f"Expected an array of shape {expected}, got {values.shape}.")
        self._check_count(len(values))
        tensor = as_floats(_tensor(values))
        assert isinstance(tensor, Tensor)
        if self.shape is not None:
            tensor = tensor.float()
        return tensor

    def _check_count(self, count: int) -> None:
        if not 1 <= count <= self.max_samples:
            raise BadRequestError(f"Expected 1 to {self.max_samples} samples, got {count}.")


def _npy_header(body: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    stream = io.BytesIO(body)
    version, _ = np.lib.format.read_magic(stream)
    read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    if version not in read:
        raise ValueError(f"version {version}")
    shape, _, dtype = read[version](stream)
    return shape, dtype


def _look(data: SpikingDataModule | None) -> Look | None:
    """Return how images become samples; None if the data are no images."""
    if isinstance(data, DigitsDataModule):
        return Look(1, (8, 8))
    if not isinstance(data, ImageDataModule):
        return None
    height, width = data.image_size
    return Look(data.in_channels, (height, width), data.bit_depth, data.background)


def _encoder(data: SpikingDataModule | None) -> Encoder | None:
    if not isinstance(data, TextDataModule):
        return None
    if data.tokenizer is not None:
        return pretrained_encoder(data.tokenizer)
    trained = None if data.given is None else data.given.tokenizer
    return None if trained is None else encoder_from(trained)


def _numbers(values: Any) -> np.ndarray:
    try:
        found = np.asarray(values)
    except ValueError as error:
        raise BadRequestError("Expected lists of one length at each depth.") from error
    if found.dtype.kind not in "biuf":
        raise BadRequestError("Expected lists of numbers.")
    return found


def _tensor(values: np.ndarray) -> Tensor:
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise BadRequestError("Expected finite numbers, got NaN or infinity.")
        return torch.from_numpy(values.astype(np.float32))
    if values.dtype in (np.uint8, np.bool_):
        return torch.from_numpy(values.copy())
    if values.size and (values.min() < -(2**63) or values.max() >= 2**63):
        raise BadRequestError("Expected integers of at most 64 bits.")
    return torch.from_numpy(values.astype(np.int64))
