"""The section of predictions: its pictures hold the samples' pixels, its texts their words."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from spikeformer.reporting import build_report
from spikeformer.reporting.sections.examples import examples
from spikeformer.runs import ExampleResults, RunFolder, TestResults, load_results


def results_of(folder, inputs, targets, predictions):
    confidences = np.linspace(0.9, 0.5, len(inputs)).astype(np.float32)
    kept = ExampleResults(inputs, np.array(targets), np.array(predictions), confidences)
    kept.save(RunFolder(folder))
    TestResults(class_names=["cat", "<dog>", "cow"]).save(RunFolder(folder))
    return load_results(folder)


def pixels(address):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


@pytest.mark.parametrize("channels", [1, 3])
def test_examples_hold_the_pixels(tmp_path, channels):
    images = np.random.default_rng(0).integers(0, 256, (3, channels, 6, 6)) / 255
    found = results_of(tmp_path, images, [0, 1, 2], [1, 1, 2])
    shown = examples(found).values["examples"]
    for image, example in zip(images, shown, strict=True):
        expected = image[0] if channels == 1 else image.transpose(1, 2, 0)
        np.testing.assert_array_equal(pixels(example["image"]), np.round(expected * 255))
    assert [example["right"] for example in shown] == [False, True, True]
    assert (shown[0]["prediction"], shown[0]["target"]) == ("<dog>", "cat")


def test_examples_scale_what_is_no_image_and_turn_a_spectrogram_over(tmp_path):
    sound = np.arange(8.0).reshape(1, 1, 2, 4) - 3
    (example,) = examples(results_of(tmp_path, sound, [0], [0])).values["examples"]
    expected = np.round((sound[0, 0][::-1] + 3) / 7 * 255)
    np.testing.assert_array_equal(pixels(example["image"]), expected)


def test_examples_of_events_have_the_colours_of_their_polarity(tmp_path):
    events = np.zeros((1, 2, 3, 3))
    events[0, 1, 0, 2] = 5
    (example,) = examples(results_of(tmp_path, events, [0], [0])).values["examples"]
    picture = pixels(example["image"])
    assert (picture[0, 2] != 255).any()
    assert (np.delete(picture.reshape(-1, 3), 2, axis=0) == 255).all()


def test_examples_on_the_page(tmp_path):
    results_of(tmp_path, np.array(["a <b> film", "good"]), [0, 2], [1, 2])
    page = build_report(tmp_path, save_figures=False).read_text()
    section = page[page.index('<section id="examples"') :]
    assert "a &lt;b&gt; film" in section
    assert re.findall(r'<li class="(\w+)"', section)[:2] == ["wrong", "right"]
    assert "&lt;dog&gt;" in section
    assert "is cat" in section
    assert "the most confident errors first" in section


def test_examples_say_where_there_is_no_error(tmp_path):
    content = examples(results_of(tmp_path, np.array(["good"]), [2], [2]))
    assert content.values["lead"].startswith("No error")
    assert examples(load_results(tmp_path.parent)) is None
