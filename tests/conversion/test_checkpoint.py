from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from spikeformer.conversion import (
    ConversionPipeline,
    SpikeformerConverter,
    load_converted,
    save_converted,
)
from spikeformer.error_handling import ConversionError
from tests.conversion.networks import TRANSFORMERS, mlp


@pytest.mark.parametrize("name", ["vit_classifier", "bert", "distilbert"])
def test_models_of_transformers_come_back_by_themselves(name, tmp_path):
    make, inputs = TRANSFORMERS[name]
    example = inputs()
    pipeline = ConversionPipeline(
        [example], optimization_target="latency", converter=SpikeformerConverter(4), progress=False
    )
    snn = pipeline.convert(make(), fine_tune_epochs=0)
    loaded = load_converted(save_converted(snn, tmp_path / "snn"))
    assert type(loaded.original) is type(snn.original)
    assert (loaded.timesteps, loaded.coding) == (snn.timesteps, snn.coding)
    assert loaded.confidence == snn.confidence
    assert loaded.choice == snn.choice
    with torch.no_grad():
        assert torch.equal(loaded(**example)[0], snn(**example)[0])
    assert str(loaded.report()) == str(snn.report())


def test_nothing_is_pickled(tmp_path):
    save_converted(SpikeformerConverter(2).convert(mlp()), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"conversion.json", "model.safetensors"}
    json.loads((tmp_path / "conversion.json").read_text())
    assert b"pickle" not in (tmp_path / "model.safetensors").read_bytes()


def test_other_networks_are_handed_in(tmp_path):
    snn = SpikeformerConverter(3, spike_encoding="radix").convert(mlp())
    save_converted(snn, tmp_path)
    x = torch.randn(4, 6)
    with torch.no_grad():
        assert torch.equal(load_converted(tmp_path, mlp())(x), snn(x))
    with pytest.raises(ConversionError, match="Pass a network of that class"):
        load_converted(tmp_path)
    with pytest.raises(ConversionError, match="do not fit"):
        load_converted(tmp_path, nn.Sequential(nn.Linear(6, 16)))


def test_what_is_no_checkpoint_is_told(tmp_path):
    with pytest.raises(ConversionError, match="holds no converted network"):
        load_converted(tmp_path / "nowhere")
    (tmp_path / "conversion.json").write_text('{"format": 99}')
    with pytest.raises(ConversionError, match="another version"):
        load_converted(tmp_path)


def test_only_classes_of_transformers_are_made(tmp_path):
    make, _ = TRANSFORMERS["vit"]
    save_converted(SpikeformerConverter(2).convert(make()), tmp_path)
    content = json.loads((tmp_path / "conversion.json").read_text())
    content["class"] = "pipeline"
    (tmp_path / "conversion.json").write_text(json.dumps(content))
    with pytest.raises(ConversionError, match="no model 'pipeline'"):
        load_converted(tmp_path)
