from __future__ import annotations

import pytest

from spikeformer.error_handling import ArgumentError
from spikeformer.pipeline.loggers import wandb_logger, wandb_mode


@pytest.fixture(autouse=True)
def nobody_is_logged_in(monkeypatch, tmp_path):
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return tmp_path / "netrc"


def test_offline_without_a_login():
    assert wandb_mode() == "offline"


def test_online_with_a_key(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert wandb_mode() == "online"


def test_online_with_a_login(nobody_is_logged_in):
    nobody_is_logged_in.write_text("machine api.wandb.ai login user password " + "x" * 40)
    assert wandb_mode() == "online"


def test_a_login_elsewhere_is_none(nobody_is_logged_in):
    nobody_is_logged_in.write_text("machine example.org login user password secret")
    assert wandb_mode() == "offline"


def test_a_broken_login_file_is_none(nobody_is_logged_in):
    nobody_is_logged_in.write_text("machine")
    assert wandb_mode() == "offline"


def test_what_is_said_wins(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_mode() == "disabled"
    assert wandb_mode("offline") == "offline"
    with pytest.raises(ArgumentError, match="'online'"):
        wandb_mode("of")


def test_making_a_logger_starts_nothing(tmp_path):
    wandb_logger(str(tmp_path), name="x")
    assert not (tmp_path / "wandb").exists()
