"""A run that converts a model of `transformers`."""

from __future__ import annotations

import json

import pytest
import tokenizers
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    ViTConfig,
    ViTForImageClassification,
)

from spikeformer.cli import compose
from spikeformer.cli.generate import generate
from spikeformer.conversion import PretrainedTransformer, load_converted
from spikeformer.error_handling import (
    ConfigurationError,
    ConversionError,
    HardwareCompatibilityError,
)
from spikeformer.pipeline import run_pipeline


@pytest.fixture
def folder(tmp_path):
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=8,
        patch_size=4,
        num_channels=1,
        num_labels=10,
    )
    ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    (tmp_path / "vit" / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.3], "image_std": [0.25]})
    )
    return tmp_path / "vit"


def config(folder, *overrides):
    return compose(
        "pipeline=convert",
        "data=digits",
        f"model.pretrained={folder}",
        "logger=none",
        "conversion.progress=false",
        "conversion.converter.timesteps=4",
        "pipeline.stages.0.calibration_samples=32",
        "pipeline.stages.0.max_samples=64",
        *overrides,
    )


def test_a_run_converts_compares_and_reports(folder, tmp_path):
    results = run_pipeline(config(folder), tmp_path / "run")
    assert results["convert"]["agreement"] > 0.9
    assert results["convert"]["timesteps"] <= 4
    content = json.loads((tmp_path / "run" / "results" / "conversion.json").read_text())
    assert len(content["evaluation"]["steps"]) == results["convert"]["timesteps"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Same class as the original" in page
    assert "fc1" in page
    assert {"conversion.png", "trade_off.png"} <= {
        path.name for path in (tmp_path / "run" / "figures").iterdir()
    }
    snn = load_converted(tmp_path / "run" / "converted")
    assert snn(pixel_values=torch.rand(2, 1, 8, 8)).logits.shape == (2, 10)


def test_a_converted_network_goes_to_a_chip(folder, tmp_path):
    """Its graph computes its events, and with the host's help its classes."""
    settings = ("hardware=simulation", "hardware.samples=4")
    results = run_pipeline(config(folder, *settings), tmp_path / "run")
    assert results["verify"]["mismatches"] == results["deploy"]["mismatches"] == 0
    assert results["verify"]["compared"] == 4 * 4 * results["verify"]["neurons"]
    assert results["deploy"]["agreement"] == 1.0
    assert 0.5 < results["deploy"]["chip_share"] < 1.0
    assert results["deploy"]["latency_steps"] > results["deploy"]["latency_steps_without_host"]
    assert "between chip and host" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["hardware=sanafe"], "conversion=binary needs the host too.*as its teacher"),
        (["hardware=simulation", "conversion=binary"], "conversion=differential"),
    ],
)
def test_a_chip_without_a_host_is_refused_before_anything_is_converted(
    folder, tmp_path, overrides, said
):
    with pytest.raises((HardwareCompatibilityError, ConfigurationError), match=said):
        run_pipeline(config(folder, *overrides), tmp_path / "run")
    assert not (tmp_path / "run" / "converted").exists()


def test_images_are_prepared_as_the_model_was_trained(folder):
    network = PretrainedTransformer(str(folder), num_classes=10)
    images = torch.rand(2, 1, 8, 8)
    pixels = network.arguments(images)["pixel_values"]
    torch.testing.assert_close(pixels, (images - 0.3) / 0.25)
    assert network.arguments(torch.rand(2, 1, 20, 20))["pixel_values"].shape == (2, 1, 8, 8)
    assert network(images).shape == (2, 1, 10)


def test_models_and_data_that_do_not_go_together(folder, tmp_path):
    with pytest.raises(ConversionError, match="10 classes, but the data has 3"):
        PretrainedTransformer(str(folder), num_classes=3)
    with pytest.raises(ConversionError, match="takes images, but the data gives token ids"):
        PretrainedTransformer(str(folder)).arguments({"input_ids": torch.ones(1, 2).long()})
    BertForSequenceClassification(
        BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=9)
    ).save_pretrained(tmp_path / "bert")
    network = PretrainedTransformer(str(tmp_path / "bert"))
    with pytest.raises(ConversionError, match="takes token ids, but the data gives images"):
        network.arguments(torch.rand(1, 3, 8, 8))
    with pytest.raises(ConversionError, match=r"token 9.*knows 9.*data\.tokenizer"):
        network.arguments({"input_ids": torch.full((1, 2), 9)})
    ids = {"input_ids": torch.ones(1, 2).long(), "mask": torch.tensor([[True, False]])}
    assert network.arguments(ids)["attention_mask"].tolist() == [[1, 0]]
    assert network(**ids).shape == (1, 1, 2)


def test_what_is_no_model_is_told(tmp_path):
    with pytest.raises(ConversionError, match="cannot be loaded"):
        PretrainedTransformer(str(tmp_path / "nothing"))
    ViTConfig(architectures=["ViTModel"]).save_pretrained(tmp_path)
    with pytest.raises(ConversionError, match="expected a classifier"):
        PretrainedTransformer(str(tmp_path))


def test_the_stage_needs_a_pretrained_model_and_a_conversion(folder, tmp_path):
    with pytest.raises(ConfigurationError, match="model=pretrained"):
        run_pipeline(
            compose("pipeline=convert", "model=spiking_vit", "logger=none", "debug=fast"),
            tmp_path / "a",
        )
    with pytest.raises(ConfigurationError, match="conversion=differential"):
        run_pipeline(
            compose(
                "pipeline=convert",
                "conversion=none",
                f"model.pretrained={folder}",
                "logger=none",
            ),
            tmp_path / "b",
        )


@pytest.fixture
def language_model(tmp_path):
    """A model of letters, with its tokenizer and a text."""
    letters = {letter: i for i, letter in enumerate("<>abcdefgh ")}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(letters, unk_token="<"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = tokenizers.decoders.Fuse()
    folder = tmp_path / "llama"
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<", eos_token=">")
    fast.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(letters),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=32,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    (tmp_path / "text").mkdir()
    for split, lines in (("train", 30), ("test", 12)):
        (tmp_path / "text" / f"{split}.txt").write_text("\n".join(["abc defg hab"] * lines))
    return folder


def test_a_language_model_is_compared_by_perplexity(language_model, tmp_path, capsys):
    settings = config(
        language_model,
        "data=text_file",
        f"data.path={tmp_path / 'text'}",
        "data.max_length=20",
        "pipeline.stages.0.calibration_samples=100",
        "pipeline.stages.0.max_samples=90",
        f"paths.cache_dir={tmp_path}",
    )
    result = run_pipeline(settings, tmp_path / "run")["convert"]
    assert result["perplexity"] == pytest.approx(result["original_perplexity"], rel=0.05)
    assert 90 <= result["num_samples"] < 90 + 8 * 20
    content = json.loads((tmp_path / "run" / "results" / "conversion.json").read_text())
    # A token is a letter, and the byte behind it is predicted: newlines have no token of their own.
    assert content["evaluation"]["num_bytes"] == pytest.approx(result["num_samples"], rel=0.1)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Bits per byte of text" in page
    assert "A sample is a token" in page
    snn = load_converted(tmp_path / "run" / "converted")
    wanted = snn.generate(torch.tensor([[2, 3, 4]]), max_new_tokens=4, do_sample=False)[0]
    capsys.readouterr()
    generate([str(tmp_path / "run"), "--prompt", "abc", "--tokens", "4"])
    letters = "<>abcdefgh "
    said = "".join(letters[token] for token in wanted if letters[token] not in "<>")
    assert capsys.readouterr().out.rstrip("\n") == said
