"""Encoders of `transformers`, as they come."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    DeiTConfig,
    DeiTModel,
    DistilBertConfig,
    DistilBertModel,
    RobertaConfig,
    RobertaModel,
    ViTConfig,
    ViTModel,
)

from spikeformer.conversion import SpikeformerConverter
from tests.conversion.networks import TRANSFORMERS, images, relative, sentences, vit_classifier

BOTH = pytest.mark.parametrize("name", TRANSFORMERS)


@BOTH
def test_without_neurons_every_timestep_is_the_original(name):
    make, inputs = TRANSFORMERS[name]
    network, example = make(), inputs()
    snn = SpikeformerConverter(timesteps=8).convert(network)
    with torch.no_grad():
        wanted = network(**example)
        for output in snn.without_neurons(**example):
            assert type(output) is type(wanted)
            assert list(output) == list(wanted)
            for field in wanted:
                assert relative(output[field], wanted[field]) < 1e-5


@BOTH
def test_with_neurons_it_approaches_the_original(name):
    make, inputs = TRANSFORMERS[name]
    network, example = make(), inputs()
    snn = SpikeformerConverter(timesteps=16, neuron_model="IF").convert(network, example)
    with torch.no_grad():
        wanted = network(**example)[0]
        errors = [relative(output[0], wanted) for output in snn.readouts(**example)]
    assert errors[15] < 0.01
    assert errors[15] < errors[7] < 0.02
    assert errors[7] < errors[1]


@pytest.mark.parametrize("name", ["vit", "bert"])
def test_it_is_called_like_the_original(name):
    make, inputs = TRANSFORMERS[name]
    network, example = make(), inputs()
    network.set_attn_implementation("eager")
    snn = SpikeformerConverter(timesteps=8).convert(network)
    more = {"output_hidden_states": True, "output_attentions": True}
    with torch.no_grad():
        wanted, output = network(**example, **more), snn(**example, **more)
        assert type(output) is type(wanted)
        assert list(output) == list(wanted)
        assert len(output.hidden_states) == 3
        assert len(output.attentions) == 2
        for ours, theirs in zip(output.hidden_states, wanted.hidden_states, strict=True):
            assert ours.shape == theirs.shape
            assert relative(ours, theirs) < 0.05
        plain = snn(**example, return_dict=False)
    assert isinstance(plain, tuple)
    assert torch.equal(plain[0], output[0])
    assert snn.config is snn.original.config


def test_batches_follow_each_other_without_a_reset():
    snn = SpikeformerConverter(timesteps=4).convert(vit_classifier())
    first, second = images(2), images(5)
    with torch.no_grad():
        before = snn(**first).logits
        assert snn(**second).logits.shape == (5, 5)
        assert torch.equal(snn(**first).logits, before)


def test_samples_of_a_batch_do_not_see_each_other():
    snn = SpikeformerConverter(timesteps=4).convert(vit_classifier())
    batch = images(4)
    with torch.no_grad():
        together = snn(**batch).logits
        alone = torch.cat([snn(pixel_values=x.unsqueeze(0)).logits for x in batch["pixel_values"]])
    assert relative(alone, together) < 0.02


def test_padding_changes_nothing():
    make, _ = TRANSFORMERS["bert"]
    snn = SpikeformerConverter(timesteps=8, neuron_model="IF").convert(make())
    short = torch.randint(2, 50, (1, 5))
    padded = torch.cat([short, torch.zeros(1, 4, dtype=torch.long)], dim=1)
    mask = (torch.arange(9) < 5).long().unsqueeze(0)
    with torch.no_grad():
        without = snn(input_ids=short).last_hidden_state
        within = snn(input_ids=padded, attention_mask=mask).last_hidden_state[:, :5]
    assert relative(within, without) < 0.02


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_original_keeps_its_attention_and_its_mode(attention):
    network = vit_classifier(attention_probs_dropout_prob=0.5, hidden_dropout_prob=0.5)
    network.set_attn_implementation(attention)
    network.train()
    example = images()
    snn = SpikeformerConverter(timesteps=4).convert(network)
    assert network.training
    assert network.config._attn_implementation == attention
    with torch.no_grad():
        # Dropout stays off, whatever mode the original or the converted network is in.
        assert torch.equal(snn(**example).logits, snn.train()(**example).logits)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions(dtype):
    network, example = vit_classifier().to(dtype), images()
    example = {key: x.to(dtype) for key, x in example.items()}
    snn = SpikeformerConverter(timesteps=8).convert(network)
    with torch.no_grad():
        logits = snn(**example).logits
        assert logits.dtype == dtype
        assert relative(logits.float(), network(**example).logits.float()) < 0.1


LAYERS = 2
FULL_WIDTH = {
    "vit_b16": lambda: ViTModel(ViTConfig(num_hidden_layers=LAYERS)),
    "deit_s": lambda: DeiTModel(
        DeiTConfig(
            hidden_size=384,
            num_attention_heads=6,
            intermediate_size=1536,
            num_hidden_layers=LAYERS,
        )
    ),
    "bert_base": lambda: BertModel(BertConfig(num_hidden_layers=LAYERS)),
    "distilbert": lambda: DistilBertModel(DistilBertConfig(n_layers=LAYERS)),
    "roberta": lambda: RobertaModel(RobertaConfig(num_hidden_layers=LAYERS)),
}


@pytest.mark.parametrize("name", FULL_WIDTH)
def test_full_width(name):
    network = FULL_WIDTH[name]().eval()
    image = name in ("vit_b16", "deit_s")
    example = {"pixel_values": torch.randn(1, 3, 224, 224)} if image else sentences(2, 6)
    snn = SpikeformerConverter(timesteps=8).convert(network, example)
    assert sum(op.function == "matmul" for op in snn.plan.operations.values()) == 2 * LAYERS
    with torch.no_grad():
        wanted = network(**example)[0]
        for output in snn.without_neurons(**example):
            assert relative(output[0], wanted) < 1e-4
