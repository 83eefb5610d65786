"""The complete example of the API reference, up to its translated lines."""

from __future__ import annotations

import importlib.util

import pytest
import torch

import spikeformer

SOURCE = """
from spikeformer import *
from spikeformer.fusion import MultiModalSpikeTransformer, FusionConfig

fusion_config = FusionConfig(
    fusion_type="cross_attention",
    shared_dim=256,
    num_heads=8,
    timesteps=32
)

model = MultiModalSpikeTransformer(
    fusion_config=fusion_config,
    modality_dims={"vision": 256, "audio": 256, "text": 256},
    num_classes=10
)

from spikeformer.multimodal import VisionSpikeEncoder, AudioSpikeEncoder, TextSpikeEncoder

vision_encoder = VisionSpikeEncoder(embed_dim=256, timesteps=32)
audio_encoder = AudioSpikeEncoder(embed_dim=256, timesteps=32)
text_encoder = TextSpikeEncoder(vocab_size=10000, embed_dim=256, timesteps=32)

profiler = EnergyProfiler(backend="simulation")

with profiler.measure() as recording:
    vision_spikes = vision_encoder.encode(vision_data)
    audio_spikes = audio_encoder.encode(audio_data)
    text_spikes = text_encoder.encode(text_data)

    outputs = model({
        "vision": vision_spikes,
        "audio": audio_spikes,
        "text": text_spikes
    })

metrics = recording.get_metrics()
"""

TRANSLATED = """
from spikeformer.i18n import format_energy, set_locale, t
set_locale("es")
shown = t("success.benchmark_complete", metrics=metrics)
energy = f"Energía: {format_energy(metrics['energy_per_sample_uj'])}"
set_locale("en")
"""


@pytest.mark.slow
def test_the_complete_example():
    namespace = {
        "vision_data": torch.rand(1, 3, 16, 16),
        "audio_data": torch.randn(1, 1200),
        "text_data": torch.randint(10000, (1, 6)),
    }
    with torch.no_grad():
        exec(SOURCE, namespace)
    assert namespace["outputs"].shape == (1, 10)
    metrics = namespace["metrics"]
    assert metrics["samples"] == 1
    assert metrics["timesteps"] == 32
    assert metrics["energy_per_sample_uj"] > 0
    for name in ("vision", "audio", "text"):
        assert 0 < namespace[f"{name}_spikes"].mean() < 1
    names = " ".join(layer.name for layer in namespace["recording"].counts.layers)
    assert "VisionSpikeEncoder" in names
    assert "fusion.attentions.text" in names
    if importlib.util.find_spec("spikeformer.i18n") is not None:
        exec(TRANSLATED, namespace)
        assert "Energía" in namespace["energy"]
    assert spikeformer.EnergyProfiler is namespace["EnergyProfiler"]
