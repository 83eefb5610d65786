from __future__ import annotations

import socket

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from spikeformer.cli import compose as composed
from spikeformer.config import instantiate
from spikeformer.error_handling import ArgumentError
from spikeformer.pipeline.loggers import earlier_run_id, mlflow_logger, wandb_logger, wandb_mode


@pytest.fixture(autouse=True)
def nobody_is_logged_in(monkeypatch, tmp_path):
    for name in ("WANDB_MODE", "WANDB_DISABLED", "WANDB_API_KEY", "WANDB_BASE_URL"):
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


@pytest.mark.parametrize(
    ("said", "mode"),
    [("run", "online"), ("dryrun", "offline"), ("OFFLINE", "offline"), (" ", "offline")],
)
def test_modes_have_the_spellings_of_wandb(monkeypatch, said, mode):
    monkeypatch.setenv("WANDB_MODE", said)
    assert wandb_mode() == mode


def test_disabled_by_its_own_variable(monkeypatch):
    monkeypatch.setenv("WANDB_DISABLED", "true")
    assert wandb_mode() == "disabled"


def test_a_run_whose_server_does_not_answer_is_logged_offline(tmp_path, monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")  # closed by now
    logger = wandb_logger(str(tmp_path), name="x")
    logger.log_metrics({"loss": 1.0}, step=0)
    logger.experiment.finish()
    assert list((tmp_path / "wandb").glob("offline-run-*"))
    assert f"127.0.0.1:{port} does not answer" in capsys.readouterr().out


def test_making_a_logger_starts_nothing(tmp_path):
    wandb_logger(str(tmp_path), name="x")
    assert not (tmp_path / "wandb").exists()


def test_a_resumed_run_goes_on_with_its_id(tmp_path):
    first = wandb_logger(str(tmp_path), name="x", mode="offline")
    first.log_metrics({"loss": 1.0}, step=0)
    name = first.experiment.id
    first.experiment.finish()
    second = wandb_logger(str(tmp_path), name="x", mode="offline")
    second.log_metrics({"loss": 0.5}, step=1)
    assert second.experiment.id == name
    second.experiment.finish()
    assert earlier_run_id(tmp_path) == name
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) >= 1
    assert wandb_logger(str(tmp_path), id="given").version == "given"


def test_a_run_after_one_that_failed_in_the_same_process_is_its_own(tmp_path):
    failed, after = (
        wandb_logger(str(tmp_path / child), name=child, mode="offline") for child in "01"
    )
    failed.log_metrics({"loss": 1.0}, step=0)
    after.log_metrics({"loss": 1.0}, step=0)
    after.experiment.finish()
    first, second = (earlier_run_id(tmp_path / child) for child in "01")
    assert None not in (first, second)
    assert first != second


def test_the_newest_run_is_gone_on_with(tmp_path):
    assert earlier_run_id(tmp_path) is None
    for folder in ("run-20260102_000000-new", "offline-run-20260101_000000-old", "latest-run"):
        (tmp_path / "wandb" / folder).mkdir(parents=True)
    assert earlier_run_id(tmp_path) == "new"
    (tmp_path / "wandb" / "offline-run-20260102_000000-new-1").mkdir()
    assert earlier_run_id(tmp_path) == "new"


def test_a_sweeps_runs_are_a_group_of_their_own(monkeypatch):
    config = composed("neuron=plif", "data=sst2")
    assert config.logger.wandb.group is None
    hydra_config = OmegaConf.create(
        {
            "hydra": {
                "mode": RunMode.MULTIRUN,
                "sweep": {"dir": "outputs/2026-01-31/12-00-00-sweep-leak"},
                "runtime": {"choices": {"data": "sst2", "model": "spiking_transformer_tiny"}},
            }
        }
    )
    monkeypatch.setattr(HydraConfig.instance(), "cfg", hydra_config)
    assert config.logger.wandb.group == "12-00-00-sweep-leak"
    assert list(config.logger.wandb.tags) == ["sst2", "spiking_transformer_tiny", "neuron"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # MLflow's own
def test_mlflow_keeps_all_runs_in_one_database(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    config = composed("logger=mlflow", f"paths.output_dir={tmp_path}", "name=first", "neuron=plif")
    for loss in (1.0, 0.5):
        logger = instantiate(config.logger.mlflow, mlflow_logger)
        logger.log_hyperparams({"optimizer": {"lr": 0.1}})
        logger.log_metrics({"val/loss": loss}, step=3)
        logger.finalize("success")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (experiment,) = client.search_experiments(filter_string="name = 'spikeformer'")
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.metrics["val/loss"] for run in runs) == [0.5, 1.0]
    assert {run.data.params["optimizer/lr"] for run in runs} == {"0.1"}
    assert {(run.info.run_name, run.info.status) for run in runs} == {("first", "FINISHED")}


def test_the_environment_alone_names_a_server_of_mlflow(tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert mlflow_logger(str(tmp_path))._tracking_uri == "http://127.0.0.1:9"
