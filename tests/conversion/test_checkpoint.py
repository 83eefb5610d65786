from __future__ import annotations

import copy
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from spikeformer.conversion import (
    ConversionPipeline,
    SpikeformerConverter,
    SpikingModel,
    load_converted,
    save_converted,
)
from spikeformer.error_handling import ConversionError
from tests.conversion.networks import TRANSFORMERS, mlp, vit_classifier


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
    content["network"] = "pipeline"
    (tmp_path / "conversion.json").write_text(json.dumps(content))
    with pytest.raises(ConversionError, match="no model 'pipeline'"):
        load_converted(tmp_path)


@pytest.fixture
def saved(tmp_path):
    """Return a folder with a converted network."""
    return save_converted(SpikeformerConverter(2).convert(mlp(), torch.randn(4, 6)), tmp_path)


def change(folder, edit):
    """Edit the content of `conversion.json`."""
    path = folder / "conversion.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


NONE = {
    "list": "[]",
    "null": "null",
    "number": "7",
    "text": '"text"',
    "empty": "{}",
    "deep": "[" * 100_000,
    "cut": "{",
    "nul": "\x00",
    "text for a format": '{"format": "2"}',
    "list for a format": '{"format": []}',
}


@pytest.mark.parametrize("text", NONE.values(), ids=NONE)
def test_a_conversion_file_that_is_none_is_refused(saved, text):
    (saved / "conversion.json").write_text(text)
    with pytest.raises(ConversionError, match="holds no converted network"):
        load_converted(saved, mlp())


EDITS = {
    "text for timesteps": lambda c: c.update(timesteps="4"),
    "timesteps of -1": lambda c: c.update(timesteps=-1),
    "timesteps of 1e15": lambda c: c.update(timesteps=10**15),
    "confidence of 2": lambda c: c.update(confidence=2),
    "unknown coding": lambda c: c["coding"].update(encoding="morse"),
    "levels of 0": lambda c: c["coding"].update(levels=0),
    "a list for a plan": lambda c: c.update(plan=[]),
    "no plan": lambda c: c.pop("plan"),
    "axes that are text": lambda c: next(iter(c["plan"]["sites"].values())).update(axes="x"),
    "an unknown site": lambda c: next(iter(c["plan"]["operations"].values()))["sites"].update(
        input="nowhere"
    ),
    "a site like none": lambda c: next(iter(c["plan"]["sites"].values())).update(same_as="nowhere"),
    "no thresholds": lambda c: c.update(thresholds=[]),
    "thresholds twice": lambda c: c.update(thresholds=c["thresholds"] * 2),
    "a deep choice": lambda c: c.update(choice={"a": [[[]]]}),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_conversion_file_with_strange_values_is_refused(saved, edit):
    change(saved, edit)
    with pytest.raises(ConversionError, match="holds no converted network"):
        load_converted(saved, mlp())


def test_weights_that_are_no_state_are_refused(saved):
    weights = load_file(saved / "model.safetensors")
    first = next(iter(weights))
    site = next(name for name in weights if name.startswith("thresholds."))
    crafted = {
        "absent": {name: x for name, x in weights.items() if name != first},
        "no threshold": {name: x for name, x in weights.items() if name != site},
        "other shape": {**weights, first: torch.zeros(3, 3, 3)},
        "whole numbers": {**weights, site: torch.zeros(2, dtype=torch.int64)},
        "below zero": {**weights, site: -weights[site]},
        "nan": {**weights, site: weights[site] * torch.nan},
        "stranger": {**weights, "other": torch.zeros(1)},
    }
    for state in crafted.values():
        save_file(state, saved / "model.safetensors")
        with pytest.raises(ConversionError, match="do not fit"):
            load_converted(saved, mlp())


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff" * 64, b"\x10" + b"\0" * 7 + b"[" * 16],
    ids=["empty", "garbage", "list"],
)
def test_weights_that_are_no_safetensors_are_refused(saved, content):
    (saved / "model.safetensors").write_bytes(content)
    with pytest.raises(ConversionError, match="do not fit"):
        load_converted(saved, mlp())
    (saved / "model.safetensors").unlink()
    with pytest.raises(ConversionError, match=r"model\.safetensors"):
        load_converted(saved, mlp())


@pytest.fixture(scope="module")
def saved_vit(tmp_path_factory):
    """Return a folder with a converted model of transformers; copy it to change it."""
    snn = SpikeformerConverter(2).convert(vit_classifier())
    return save_converted(snn, tmp_path_factory.mktemp("vit"))


@pytest.mark.parametrize(
    "config",
    [
        {"auto_map": {"AutoConfig": "stolen.Config"}},
        {"_attn_implementation": "somebody/kernels"},
        {"attn_implementation": {"": "somebody/kernels"}},
        {"vision_config": {"auto_map": {"AutoModel": "stolen.Model"}}},
        {"parts": [{"_attn_implementation_internal": "somebody/kernels:attention"}]},
    ],
    ids=["auto_map", "attention", "mapping", "nested", "in-a-list"],
)
def test_code_that_a_configuration_asks_for_is_never_run(saved_vit, tmp_path, config):
    for path in saved_vit.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "stolen.py").write_text("raise SystemExit('ran')")
    values = json.loads((saved_vit / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**values, **config}))
    with pytest.raises(ConversionError, match="code of its own"):
        load_converted(tmp_path)


@pytest.mark.parametrize(
    "config",
    [{"hidden_size": 10**9}, {"hidden_size": "wide"}, {"num_attention_heads": 0}, []],
    ids=["huge", "text", "zero", "list"],
)
def test_configurations_of_another_network_are_refused(saved_vit, tmp_path, config):
    for path in saved_vit.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    values = json.loads((saved_vit / "config.json").read_text())
    changed = {**values, **config} if config else config
    (tmp_path / "config.json").write_text(json.dumps(changed))
    with pytest.raises(ConversionError, match="do not fit"):
        load_converted(tmp_path)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_networks_come_back_in_their_own_precision(tmp_path, dtype):
    x = torch.randn(4, 6, dtype=dtype)
    snn = SpikeformerConverter(3).convert(mlp().to(dtype), x)
    loaded = load_converted(save_converted(snn, tmp_path), mlp())
    assert {p.dtype for p in loaded.original.parameters()} == {dtype}
    with torch.no_grad():
        assert torch.equal(loaded(x), snn(x))


def test_models_of_transformers_come_back_in_half_precision(tmp_path):
    make, inputs = TRANSFORMERS["vit_classifier"]
    example = {"pixel_values": inputs()["pixel_values"].bfloat16()}
    snn = SpikeformerConverter(2).convert(copy.deepcopy(make()).bfloat16(), example)
    loaded = load_converted(save_converted(snn, tmp_path))
    assert loaded.dtype == torch.bfloat16
    with torch.no_grad():
        assert torch.equal(loaded(**example).logits, snn(**example).logits)


def test_save_pretrained_and_from_pretrained_are_the_same_files(tmp_path):
    make, inputs = TRANSFORMERS["bert"]
    example = inputs()
    snn = SpikeformerConverter(2).convert(make())
    folder = snn.save_pretrained(tmp_path / "snn")
    assert {path.name for path in folder.iterdir()} == {*SpikingModel.hub_files, "README.md"}
    assert "SpikingModel.from_pretrained" in (folder / "README.md").read_text()
    with torch.no_grad():
        expected = snn(**example)[0]
        assert torch.equal(SpikingModel.from_pretrained(folder)(**example)[0], expected)
    other = SpikeformerConverter(2).convert(mlp())
    again = SpikingModel.from_pretrained(other.save_pretrained(tmp_path / "mlp"), ann_model=mlp())
    assert again.timesteps == 2
