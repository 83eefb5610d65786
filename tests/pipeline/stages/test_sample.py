"""One test sample is recorded spike by spike."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeformer.cli import compose as composed
from spikeformer.instrument import watch_spikes
from spikeformer.models import SpikeDrivenAttention, SpikingAttention, SpikingSelfAttention
from spikeformer.pipeline import build
from spikeformer.pipeline.stages.sample import MAX_NEURONS, _attention, record_sample
from tests.commands import SMALL


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    config = composed("logger=none", "trainer.accelerator=cpu", *SMALL)
    made = build(config, tmp_path_factory.mktemp("run"))
    made.data.setup("test")
    return made


def test_record_sample_is_the_first_of_the_test_split(parts):
    found = record_sample(parts.module, parts.data)
    images, labels = next(iter(parts.data.test_dataloader()))
    net = parts.module.net.eval()
    spikes = {}
    with watch_spikes(net, lambda path, x: spikes.__setitem__(path, x)), torch.no_grad():
        output = net(images[:1])[0]
    np.testing.assert_array_equal(found.inputs["input"], images[0].numpy())
    assert found.target == labels[0]
    np.testing.assert_array_equal(found.output, output.numpy())
    assert found.prediction == output.mean(dim=0).argmax()
    assert list(found.spikes) == list(spikes)
    for path, recorded in found.spikes.items():
        whole = spikes[path][0].flatten(1).numpy()
        assert recorded.shape == (2, min(MAX_NEURONS, whole.shape[1]))
        assert recorded.dtype == np.uint8
        if whole.shape[1] <= MAX_NEURONS:
            np.testing.assert_array_equal(recorded, whole)


def test_record_sample_spreads_the_neurons_of_a_large_layer(parts):
    spikes = record_sample(parts.module, parts.data).spikes.values()
    assert max(x.shape[1] for x in spikes) == MAX_NEURONS


def test_attention_is_the_share_of_open_gates_at_each_token(parts):
    found = record_sample(parts.module, parts.data)
    images, _ = next(iter(parts.data.test_dataloader()))
    net, gates = parts.module.net, {}
    with watch_spikes(net, lambda name, x: gates.__setitem__(name, x[0])), torch.no_grad():
        net(images[:1])
    assert found.attention
    for path, share in found.attention.items():
        open_ = gates[f"{path}.neuron"]  # (timesteps, tokens, heads, ...)
        rows, columns = share.shape
        assert rows == columns == open_.shape[1] ** 0.5
        for token in range(rows * columns):
            mean = (open_[:, token] != 0).float().mean().item()
            assert share[token // columns, token % columns] == pytest.approx(mean)


def test_other_mechanisms_and_inputs_have_what_they_tell_apart():
    images, tokens = torch.zeros(1, 1, 8, 8), torch.zeros(1, 5, dtype=torch.long)
    for mechanism, shown in ((SpikingSelfAttention, True), (SpikeDrivenAttention, False)):
        layer = SpikingAttention(8, 2, timesteps=3, mechanism=mechanism, threshold=0.1).eval()
        spikes = {}
        with watch_spikes(layer, lambda name, x, s=spikes: s.__setitem__(name, x[0])):
            layer((torch.rand(1, 3, 16, 8) < 0.5).float())
        found = _attention(layer, images, spikes)
        assert {name: share.shape for name, share in found.items()} == (
            {"mechanism": (4, 4)} if shown else {}
        )
        assert _attention(layer, tokens, spikes) == {}
