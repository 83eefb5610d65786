from __future__ import annotations

import lightning as L
import pytest
import torch
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import RunMode
from omegaconf import OmegaConf, open_dict

from spikeformer.cli import compose
from spikeformer.cli.pruning import PruneTrial, trial_of_this_run

optuna = pytest.importorskip("optuna", reason="the extra sweeps is not installed")

OBJECTIVE = "fit.val/loss"
EPOCHS = 6


class Constant(L.LightningModule):
    """Validates to one number."""

    def __init__(self, loss):
        super().__init__()
        self.weight, self.loss = torch.nn.Parameter(torch.zeros(1)), loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch, batch_idx):
        return (self.weight * batch).sum()

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self.loss)

    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.ones(2, 1))

    val_dataloader = train_dataloader


def train(folder, loss):
    trainer = L.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        default_root_dir=folder,
        callbacks=[PruneTrial([f"minimize {OBJECTIVE}"])],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Constant(loss))
    return trainer.current_epoch


@pytest.fixture
def hydra_config():
    """Tell this process which job of which sweep it is, as Hydra does."""
    before = HydraConfig.instance().cfg

    def tell(job, folder, sweeper):
        config = OmegaConf.create({"hydra": OmegaConf.structured(HydraConf)})
        with open_dict(config):
            config.hydra.mode = RunMode.MULTIRUN
            config.hydra.job.num = job
            config.hydra.sweep.dir = str(folder)
            config.hydra.sweeper = sweeper
        HydraConfig.instance().set_config(config)

    yield tell
    HydraConfig.instance().cfg = before


@pytest.mark.slow
def test_trials_that_fall_behind_are_given_up(tmp_path, hydra_config):
    from spikeformer.cli.study import Search

    settings = {
        "sampler": {"_target_": "optuna.samplers.GridSampler", "seed": 1},
        "pruner": {
            "_target_": "optuna.pruners.MedianPruner",
            "n_startup_trials": 2,
            "n_warmup_steps": 2,
        },
        "params": {},
        "n_trials": 5,
        "n_jobs": 1,
        "max_failure_rate": 0.0,
        "storage": None,
        "study_name": "search",
    }
    epochs = {}

    class Trains(Launcher):
        def setup(self, **_):
            pass

        def launch(self, job_overrides, initial_job_idx):
            (((loss,), job),) = ((overrides, initial_job_idx) for overrides in job_overrides)
            hydra_config(job, tmp_path, settings)
            loss = float(loss.removeprefix("x="))
            epochs[loss] = train(tmp_path, loss)
            result = JobReturn()
            result.status = JobStatus.COMPLETED
            result.return_value = {"fit": {"val/loss": loss}}
            return [result]

    search = Search({OBJECTIVE: "minimize"}, Trains(), tmp_path, settings)
    search.run(["x=choice(1.0, 2.0, 3.0, 4.0, 5.0)"])
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path / 'study.db'}")
    values: list[float] = []
    for trial in study.trials:
        loss = trial.params["x"]
        behind = len(values) >= 2 and loss > sorted(values)[len(values) // 2]
        assert trial.intermediate_values == dict.fromkeys(range(epochs[loss]), loss)
        if trial.state.name == "PRUNED":
            assert len(values) >= 2
            assert epochs[loss] == 3  # the first after those that always run
        else:
            assert not behind
            assert epochs[loss] == EPOCHS
        values.append(loss)
    assert {trial.state.name for trial in study.trials} == {"COMPLETE", "PRUNED"}
    assert study.best_value == 1.0


def test_outside_of_a_search_nothing_is_given_up(tmp_path):
    assert trial_of_this_run() is None
    assert train(tmp_path, 1e9) == EPOCHS


def test_every_search_of_one_objective_can_prune():
    assert compose("callbacks=pruning", "objective=[minimize fit.val/loss]").callbacks == {
        "pruning": {
            "_target_": "spikeformer.cli.pruning.PruneTrial",
            "objective": ["minimize fit.val/loss"],
        }
    }
