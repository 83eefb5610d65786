"""The complete example of the API reference, as it is written there."""

from __future__ import annotations

import pytest
import torch

import spikeformer
from spikeformer.i18n import format_energy, use_locale

SOURCE = """
import torch
from spikeformer import *
from spikeformer.fusion import MultiModalSpikeTransformer, FusionConfig
from spikeformer.i18n import set_locale, t

# Set Spanish locale
set_locale("es")

# Create multi-modal model
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

# Create encoders
from spikeformer.multimodal import VisionSpikeEncoder, AudioSpikeEncoder, TextSpikeEncoder

vision_encoder = VisionSpikeEncoder(embed_dim=256, timesteps=32)
audio_encoder = AudioSpikeEncoder(embed_dim=256, timesteps=32)
text_encoder = TextSpikeEncoder(vocab_size=10000, embed_dim=256, timesteps=32)

# Energy profiling
profiler = EnergyProfiler(backend="simulation")

with profiler.measure() as recording:
    # Encode inputs
    vision_spikes = vision_encoder.encode(vision_data)
    audio_spikes = audio_encoder.encode(audio_data)
    text_spikes = text_encoder.encode(text_data)
    
    # Multi-modal inference
    outputs = model({
        "vision": vision_spikes,
        "audio": audio_spikes,
        "text": text_spikes
    })

# Get localized results
metrics = recording.get_metrics()
print(t("success.benchmark_complete", metrics=metrics))
print(f"Energía: {format_energy(metrics['energy_per_sample_uj'])}")
"""  # noqa: W293 - as it is written


@pytest.mark.slow
def test_the_complete_example(capsys):
    namespace = {
        "vision_data": torch.rand(1, 3, 16, 16),
        "audio_data": torch.randn(1, 1200),
        "text_data": torch.randint(10000, (1, 6)),
    }
    with use_locale("en"), torch.no_grad():
        exec(SOURCE, namespace)
    assert namespace["outputs"].shape == (1, 10)
    metrics = namespace["metrics"]
    assert metrics["samples"] == 1
    assert metrics["timesteps"] == 32
    assert metrics["energy_per_sample_uj"] > 0
    done, energy = capsys.readouterr().out.splitlines()
    assert done.startswith("Prueba de rendimiento completada: energy_per_sample_uj=")
    with use_locale("es"):
        assert energy == f"Energía: {format_energy(metrics['energy_per_sample_uj'])}"
    for name in ("vision", "audio", "text"):
        assert 0 < namespace[f"{name}_spikes"].mean() < 1
    names = " ".join(layer.name for layer in namespace["recording"].counts.layers)
    assert "VisionSpikeEncoder" in names
    assert "fusion.attentions.text" in names
    assert spikeformer.EnergyProfiler is namespace["EnergyProfiler"]
