"""Bodies of requests, good and bad."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from spikeformer.data import DigitsDataModule, Preparation, TextDataModule
from spikeformer.serving import BadRequestError, RequestReader
from tests.serving.bodies import npy, png, tokenizer


@pytest.fixture(scope="module")
def digits():
    return RequestReader(DigitsDataModule(), (1, 8, 8), max_samples=4)


@pytest.fixture(scope="module")
def sentences():
    data = TextDataModule(source="x", num_classes=2, max_length=20)
    data.use(Preparation(["bad", "good"], tokenizer=tokenizer(["a good film", "a bad film"])))
    return RequestReader(data, max_samples=4)


def test_json_and_npy_give_the_same_samples(digits):
    values = np.random.default_rng(0).random((3, 1, 8, 8), dtype=np.float32)
    body = json.dumps({"inputs": values.tolist()}).encode()
    expected = torch.from_numpy(values)
    torch.testing.assert_close(digits.read("application/json", body), expected)
    torch.testing.assert_close(digits.read("application/x-npy", npy(values)), expected)
    one = digits.read("application/octet-stream", npy(values[0].astype(np.float64)))
    torch.testing.assert_close(one, expected[:1])


def test_bytes_and_images_become_fractions(digits):
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    expected = torch.from_numpy(grey).float()[None, None] / 255
    torch.testing.assert_close(digits.read("image/png", png(grey)), expected)
    torch.testing.assert_close(digits.read("application/x-npy", npy(grey[None])), expected)


def test_an_image_of_another_size_is_scaled(digits):
    large = Image.fromarray(np.full((40, 30), 51, np.uint8)).convert("RGB")
    stream = io.BytesIO()
    large.save(stream, "JPEG")
    found = digits.read("image/jpeg", stream.getvalue())
    assert found.shape == (1, 1, 8, 8)
    torch.testing.assert_close(found, torch.full_like(found, 0.2), atol=0.01, rtol=0)


def test_sentences_are_padded_to_a_common_length(sentences):
    found = sentences.read(
        "application/json", json.dumps({"texts": ["a film", "good " * 50]}).encode()
    )
    assert found["input_ids"].shape == found["mask"].shape == (2, 20)
    assert found["mask"].sum(dim=1).tolist() == [2, 20]
    short = sentences.read("text/plain", b"a good film")
    assert short["mask"].shape == (1, 16)
    assert short["mask"].sum() == 3
    empty = sentences.read("text/plain", b"")
    assert empty["mask"].sum() == 1  # every sample has a token


def test_named_inputs(sentences):
    body = {"inputs": {"input_ids": [[1, 2], [3, 4]], "mask": [[1, 1], [1, 0]]}}
    found = sentences.read("application/json", json.dumps(body).encode())
    assert found["mask"].dtype == torch.bool
    assert found["input_ids"].dtype == torch.long


def test_what_is_taken_depends_on_the_data(digits, sentences):
    assert "image/*" in digits.takes
    assert "text/plain" not in digits.takes
    assert "text/plain" in sentences.takes
    assert RequestReader(None).takes == ["application/json", "application/x-npy"]


BIG = npy(np.zeros(10**6))[:128].replace(b"(1000000,)", b"(9999999,)")


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        ("application/json", b"{", "Expected JSON"),
        ("application/json", b"[1]", "Expected {"),
        ("application/json", b'{"inputs": [[[[1]]]]}', r"\(samples, 1, 8, 8\), got \(1, 1, 1, 1\)"),
        ("application/json", b'{"inputs": [[1], [1, 2]]}', "one length"),
        ("application/json", b'{"inputs": "x"}', "numbers"),
        ("application/json", b'{"inputs": [], "texts": []}', "Expected {"),
        ("application/json", b'{"texts": [1]}', "list of strings"),
        ("application/json", b'{"texts": ["x"]}', "takes no texts"),
        ("application/json", b"[" * 10_000, "Expected JSON"),
        ("application/x-npy", b"PK", "numpy.save"),
        ("application/x-npy", npy(np.array([{}], dtype=object), pickle=True), "numpy.save"),
        ("application/x-npy", npy(np.array(["a"])), "numpy.save"),
        ("application/x-npy", BIG, "numpy.save"),
        ("application/x-npy", npy(np.full((1, 8, 8), np.nan)), "finite"),
        ("application/x-npy", npy(np.zeros((5, 1, 8, 8))), "1 to 4 samples, got 5"),
        ("application/x-npy", npy(np.zeros((0, 1, 8, 8))), "1 to 4 samples, got 0"),
        ("image/png", b"no image", "Pillow"),
        ("text/plain", b"\xff", "UTF-8"),
        ("audio/wav", b"", "Expected a body of type"),
    ],
)
def test_bad_bodies_are_refused_in_one_line(digits, kind, body, message):
    with pytest.raises(BadRequestError, match=message) as refused:
        digits.read(kind, body)
    assert "\n" not in str(refused.value)
