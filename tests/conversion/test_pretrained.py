from __future__ import annotations

import json

import pytest
import torch

from spikeformer.conversion import PretrainedTransformer
from spikeformer.conversion.pretrained import load_pretrained, read_config
from spikeformer.error_handling import ConversionError
from tests.conversion.networks import vit, vit_classifier


@pytest.fixture
def folder(tmp_path):
    vit_classifier().save_pretrained(tmp_path)
    return tmp_path


def ask_for(folder, **keys):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))
    (folder / "stolen.py").write_text("raise SystemExit('ran')")


def test_pretrained_transformer_gives_the_outputs_of_the_model(folder):
    network, images = PretrainedTransformer(str(folder), num_classes=5), torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        expected = load_pretrained(str(folder))(pixel_values=(images - 0.5) / 0.5).logits
        torch.testing.assert_close(network(images), expected.unsqueeze(1))


@pytest.mark.parametrize(
    "keys",
    [
        {"auto_map": {"AutoConfig": "stolen.Config"}},
        {"auto_map": {"AutoConfig": "stolen.Config"}, "model_type": "stolen"},
        {"_attn_implementation": "somebody/kernels"},
        {"attn_implementation": {"": "somebody/kernels"}},
        {"text_config": {"_attn_implementation_internal": "somebody/kernels:attention"}},
    ],
    ids=["auto_map", "unknown-type", "attention", "mapping", "nested"],
)
def test_read_config_refuses_code_from_elsewhere(folder, keys):
    ask_for(folder, **keys)
    for read in (read_config, load_pretrained, PretrainedTransformer):
        with pytest.raises(ConversionError, match="code of its own"):
            read(str(folder))


def test_read_config_takes_attention_that_is_part_of_transformers(folder):
    ask_for(folder, _attn_implementation="eager")
    assert read_config(str(folder)).model_type == "vit"


def test_load_pretrained_wants_a_classifier(tmp_path):
    vit().save_pretrained(tmp_path)
    with pytest.raises(ConversionError, match="holds ViTModel"):
        load_pretrained(str(tmp_path))


@pytest.mark.parametrize("text", ["[]", "7", "[" * 100_000, "{", "\x00"])
def test_load_pretrained_refuses_configurations_that_are_none(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(ConversionError, match="cannot be loaded"):
        load_pretrained(str(folder))
