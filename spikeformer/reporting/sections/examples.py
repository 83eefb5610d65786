"""Test samples with their predictions, the most confident errors first."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from spikeformer.i18n import t
from spikeformer.reporting import formats
from spikeformer.reporting.figures import polarity_colours
from spikeformer.reporting.sections.section import Content, register_section
from spikeformer.runs.results import RunResults


@register_section(
    "examples", title="Predictions", order=25, source="results/examples.npz", optional=True
)
def examples(results: RunResults) -> Content | None:
    """Show each sample with its prediction, how confident it was, and the true class."""
    found = results.examples
    if found is None:
        return None
    names = results.test.class_names if results.test is not None else None
    texts = found.inputs.dtype.kind == "U"
    shown = [
        {
            "image": None if texts else _png(sample),
            "text": str(sample) if texts else None,
            "prediction": _name(int(prediction), names),
            "target": _name(int(target), names),
            "right": int(target) == int(prediction),
            "confidence": formats.percent(float(confidence)),
        }
        for sample, target, prediction, confidence in zip(
            found.inputs, found.targets, found.predictions, found.confidences, strict=True
        )
    ]
    errors = sum(not example["right"] for example in shown)
    lead = t("reporting.examples_errors" if errors else "reporting.examples_no_errors")
    return Content({"examples": shown, "lead": lead, "texts": texts})


def _name(index: int, names: list[str] | None) -> str:
    return names[index] if names and 0 <= index < len(names) else str(index)


def _png(image: np.ndarray) -> str:
    """Return an image of shape (channels, height, width) as the address of an inline PNG."""
    if len(image) == 2:
        image = polarity_colours(image).transpose(2, 0, 1)
    low, high = float(image.min()), float(image.max())
    scaled = image if low >= 0 and high <= 1 else (image - low) / (high - low or 1.0)
    pixels = np.round(np.nan_to_num(scaled) * 255).astype(np.uint8)
    if len(pixels) == 3:
        picture = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)), "RGB")
    else:
        plane = pixels[0] if len(pixels) == 1 else pixels.mean(axis=0).astype(np.uint8)
        # A spectrogram, which is not square, has its low frequencies at the bottom.
        picture = Image.fromarray(plane if plane.shape[0] == plane.shape[1] else plane[::-1].copy())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
