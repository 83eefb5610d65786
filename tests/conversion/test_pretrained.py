"""A model's folder may be a stranger's."""

from __future__ import annotations

import json

import pytest

from spikeformer.conversion.pretrained import load_pretrained, read_config
from spikeformer.error_handling import ConversionError

transformers = pytest.importorskip("transformers")


def write(folder, **extra):
    content = {"model_type": "vit", "architectures": ["ViTForImageClassification"], **extra}
    (folder / "config.json").write_text(json.dumps(content))
    return str(folder)


@pytest.mark.parametrize(
    "extra",
    [
        {"auto_map": {"AutoConfig": "stranger.Config"}},
        {"_attn_implementation": "kernels-community/stranger"},
        {"attn_implementation": "stranger/kernel@main:attention"},
        {"vision_config": {"_attn_implementation": {"vision": "stranger/kernel"}}},
    ],
)
def test_read_config_refuses_code_of_others(tmp_path, extra):
    (tmp_path / "stranger.py").write_text("raise SystemExit('a stranger runs')")
    with pytest.raises(ConversionError, match="asks for code of its own"):
        read_config(write(tmp_path, **extra), local_files_only=True)
    with pytest.raises(ConversionError, match="asks for code of its own"):
        load_pretrained(str(tmp_path))


def test_read_config_reads_what_is_plain(tmp_path):
    config = read_config(write(tmp_path, _attn_implementation="sdpa", hidden_size=32))
    assert config.hidden_size == 32
