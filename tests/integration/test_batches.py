"""One batch of Hugging Face's form through training, validation, profiling, prediction, serving."""

from __future__ import annotations

import asyncio

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from spikeformer.concurrency import AsyncSpikingInference, ConcurrencyConfig
from spikeformer.profiling import EnergyProfiler
from spikeformer.training import SpikingTrainer
from spikeformer.validation import ComprehensiveValidator
from tests.training.toys import QUIET, toy_net

PIXELS = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1] * 4)
BATCH = {"pixel_values": PIXELS, "labels": LABELS}


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = toy_net()

    def forward(self, pixel_values):
        return self.net(pixel_values)


@pytest.fixture
def network():
    return Classifier()


def test_a_dict_with_labels_trains_and_predicts(network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = DataLoader(
        [{"pixel_values": x, "labels": y} for x, y in zip(PIXELS, LABELS, strict=True)], 4
    )
    trainer = SpikingTrainer(network, learning_rate=1e-2, **QUIET)
    assert len(trainer.fit(data, data, epochs=1)) == 1
    trainer.module.eval()
    expected = network.net(PIXELS).mean(dim=1)
    for batch in (BATCH, {"pixel_values": PIXELS}):
        assert torch.equal(trainer.module.predict_step(batch), expected)


def test_a_dict_with_labels_is_validated():
    validator = ComprehensiveValidator()
    assert validator.validate_input_data(BATCH) == validator.validate_input_data(
        {"pixel_values": PIXELS}, targets=LABELS
    )
    wrong = validator.validate_input_data({**BATCH, "labels": LABELS[:5]})
    assert wrong
    assert wrong == validator.validate_input_data({"pixel_values": PIXELS}, targets=LABELS[:5])
    dead = Classifier()
    dead.net.neuron.threshold = 1e6
    found = ComprehensiveValidator().validate_model(dead, probe=BATCH)
    assert found
    assert len(found) == len(ComprehensiveValidator().validate_model(dead.net, probe=PIXELS))


def test_a_dict_with_labels_is_profiled(network):
    rows = EnergyProfiler("simulation").compare([network], inputs=BATCH).rows
    assert rows == EnergyProfiler("simulation").compare([network], inputs=(PIXELS,)).rows


def test_a_dict_with_labels_is_served(network):
    async def scenario():
        async with AsyncSpikingInference(network.eval(), ConcurrencyConfig()) as engine:
            return await engine.get_result(await engine.submit_inference(BATCH))

    with torch.no_grad():
        assert torch.equal(asyncio.run(scenario()), network.net(PIXELS))
