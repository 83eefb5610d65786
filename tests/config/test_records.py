from __future__ import annotations

import pytest
import yaml
from omegaconf import OmegaConf

from spikeformer.config import (
    MASK,
    as_typed,
    comes_from_environment,
    masked,
    read_config,
    recorded,
)
from spikeformer.error_handling import ConfigurationError

SECRET = "s3cr3t-value"


@pytest.fixture
def config(monkeypatch):
    monkeypatch.setenv("MY_TOKEN", SECRET)
    return OmegaConf.create(
        {
            "name": "${oc.env:MY_TOKEN}",
            "path": "${where}/x",
            "where": "${oc.env:MY_TOKEN}/runs",
            "decoded": "${oc.decode:${oc.env:MY_TOKEN}}",
            "chosen": "${oc.select:where}",
            "group": "${other}",
            "other": {"steps": "${steps}", "deep": ["${where}", {"a": "${oc.env:MY_TOKEN,3}"}]},
            "steps": 4,
            "missing": "???",
            "nothing": None,
            "api_key": "abc",
            "wandb": {"hf_token": "abc", "token": "${oc.env:MY_TOKEN}", "tokens": 3},
        }
    )


def test_recorded_takes_nothing_from_the_environment(config):
    found = recorded(config)
    assert SECRET not in str(found)
    assert found["name"] == "${oc.env:MY_TOKEN}"
    assert found["path"] == "${where}/x"
    assert found["other"] == {
        "steps": 4,
        "deep": ["${where}", {"a": "${oc.env:MY_TOKEN,3}"}],
    }
    assert found["group"] == found["other"]
    assert (found["missing"], found["nothing"]) == ("???", None)
    assert found["wandb"]["token"] == "${oc.env:MY_TOKEN}"
    assert config.name == SECRET  # the run itself still gets it


def test_as_typed_resolves_nothing(config):
    typed = ["name=${oc.env:MY_TOKEN}", "steps=${steps}"]
    assert as_typed(OmegaConf.create(typed)) == typed


def test_recorded_masks_keys_by_name(config):
    found = recorded(config)
    assert found["api_key"] == MASK
    assert found["wandb"]["hf_token"] == MASK
    assert found["wandb"]["tokens"] == 3


def test_comes_from_environment_follows_references(config):
    assert all(comes_from_environment(config, key) for key in ("name", "path", "decoded"))
    assert not any(
        comes_from_environment(config, key) for key in ("steps", "other.steps", "api_key")
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("logger.wandb.api_key=abc", "logger.wandb.api_key=***"),
        ("+data.token='a b'", "+data.token=***"),
        ("logger.x={password: abc, user: me}", "logger.x={password: ***, user: me}"),
        ("data.path=https://me:pw@host/x", "data.path=https://***@host/x"),
        ("model.pretrained=hf_abcdefghijklmnopqrstuv", "model.pretrained=***"),
        ("x=" + "0a" * 20, "x=***"),
        # no keys
        ("data.max_tokens=12", "data.max_tokens=12"),
        ("attention=qk_token", "attention=qk_token"),
        ("model.cls_token=true", "model.cls_token=true"),
        ("logger.wandb.api_key=${oc.env:KEY}", "logger.wandb.api_key=${oc.env:KEY}"),
        ("logger.wandb.api_key=null", "logger.wandb.api_key=null"),
        ("optimizer.lr=0.001", "optimizer.lr=0.001"),
    ],
)
def test_masked_hides_what_looks_like_a_key(text, shown):
    assert masked(text) == shown


def test_read_config_looks_nothing_up(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", SECRET)
    texts = {
        "a": "${oc.env:MY_TOKEN}",
        "b": r"\${oc.env:MY_TOKEN}",
        "c": ["x${a}"],
        "d": 3,
        "e": "d",
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(texts))
    config = read_config(tmp_path / "config.yaml")
    assert OmegaConf.to_container(config, resolve=True) == texts
    assert SECRET not in OmegaConf.to_yaml(config, resolve=True)


@pytest.mark.parametrize("content", [b"", b"- 1\n", b"\0", b"a: [", b"1: 2\n", b"a: &x [*x]\n"])
def test_read_config_refuses_what_is_no_configuration(tmp_path, content):
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"config\.yaml"):
        read_config(tmp_path / "config.yaml")
