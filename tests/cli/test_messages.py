"""A user's mistake gives one clear message, a non-zero status, and leaves nothing behind."""

from __future__ import annotations

import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from lightning_utilities.core.imports import RequirementCache

from spikeformer.cli.config import config_folder
from spikeformer.cli.messages import explain
from spikeformer.pipeline import mlflow_logger
from tests.commands import SHARED, train

MISTAKES = {
    # misspelt names
    "modle=spiking_vit": ["modle", "Did you mean model?"],
    "model=spiking_vitt": ["model/spiking_vitt", "Did you mean spiking_vit?"],
    "data.batchsize=3": ["data.batchsize", "Did you mean data.batch_size?"],
    "neuron.tau=3": ["neuron.tau", "Did you mean neuron.tau_mem?"],
    "debug=null": ["debug=null", "one of", "leave it out"],
    "model=3": ["model=3", "spiking_vit"],
    "model=spiking_viit": ["Available options in 'model': dense, maxformer, "],
    "data.pth=/data": ["Could not override 'data.pth': Key 'pth' not in 'DigitsConfig'\n"],
    "hparams_search=optuna": ["hparams_search=optuna", "--multirun"],
    # wrong types
    "data.batch_size=abc": ["data.batch_size=abc", "Integer"],
    "optimizer.lr=fast": ["optimizer.lr=fast", "Float"],
    "seed=none": ["seed=none", "Integer"],
    # out of range
    "timesteps=0": ["timesteps=0", "at least 1"],
    "neuron.tau_mem=-1": ["neuron.tau_mem=-1.0", "above 0"],
    "neuron.threshold=0": ["threshold=0", "above 0"],
    "neuron.reset=soft": ["neuron.reset=soft", "'subtract', 'zero'"],
    "neuron.surrogate_type=tanh": ["neuron.surrogate_type=tanh", "'fast_sigmoid'"],
    "model.d_model=97": ["model.d_model=97", "divisible by nhead=8"],
    "model.nhead=0": ["model.nhead=0", "at least 1"],
    "model.residual=plus": ["model.residual=plus", "'membrane', 'sew'"],
    "model.stem_strides=[3]": ["model.stem_strides=[3]", "1s and 2s"],
    "data.batch_size=0": ["data.batch_size=0", "at least 1"],
    "data.val_fraction=2": ["data.val_fraction=2.0"],
    "optimizer.lr=-1": ["Invalid learning rate: -1.0"],
    "trainer.max_epochs=-5": ["max_epochs", "-5"],
    "trainer.precision=99": ["trainer", "Precision 99 is invalid"],
    "sparsity_weight=-1": ["sparsity_weight=-1.0", "at least 0"],
    # things that are not there
    "checkpoint=/nowhere.ckpt": ["checkpoint=/nowhere.ckpt", "no such file"],
    "ops=triton": ["'triton'", "auto"],
    "pipeline.resume=/nowhere": ["pipeline.resume=/nowhere", "no run folder"],
    "pipeline=evaluate": ["checkpoint=PATH"],
    "data=csv_text": ["data.num_classes has no value yet: set data.num_classes="],
    # things that do not go together
    "task=causal_lm": ["data.vocab_size", "do not go together"],
    "loss=mse": ["do not go together", "task=classification"],
    "neuron._target_=os.system": ["neuron._target_=os.system", "not trusted"],
}


@pytest.mark.parametrize("argument", MISTAKES)
def test_message_names_key_value_and_remedy(command, argument):
    status, errors, left = command(argument)
    assert status == 2
    assert "Traceback" not in errors
    message = errors[errors.index("error:") :]
    for part in MISTAKES[argument]:
        assert part in message, message
    if argument != "pipeline=evaluate":  # its one stage has begun when it finds no weights
        assert left == []


def test_choices_that_do_not_go_together(command):
    status, errors, _ = command("data=sst2", "model=spiking_vit")
    assert status == 2
    assert "model.in_channels needs data.in_channels" in errors
    status, errors, _ = command("data=sst2", "encoding=rate")
    assert status == 2
    assert "Leave encoding=direct" in errors
    status, errors, _ = command("experiment=spikformer_cifar10", "data=digits", "seed=1")
    assert status == 2
    assert "experiment=spikformer_cifar10 needs data.rand_augment" in errors


def test_absent_and_unreadable_data(command, tmp_path):
    status, errors, left = command("data=cifar10", f"data.path={tmp_path}/nowhere")
    assert (status, left) == (2, [])
    assert "data.path" in errors
    assert "nowhere" in errors
    broken = tmp_path / "broken"
    broken.mkdir()
    for split in ("train", "test"):
        (broken / f"{split}.parquet").write_bytes(b"PAR1 this is no parquet file PAR1")
    status, errors, left = command("data=cifar10", f"data.path={broken}")
    assert (status, left) == (2, [])
    assert "train.parquet" in errors or str(broken) in errors


def test_a_set_that_is_not_what_the_configuration_says(command):
    if not (SHARED / "cifar10").is_dir():
        pytest.skip(f"no data sets at {SHARED}; SPIKEFORMER_DATA can say where they are")
    folder = f"data.path={SHARED / 'cifar10'}"
    status, errors, left = command("data=cifar10", folder, "data.num_classes=7")
    assert (status, left) == (2, [])
    assert "data.num_classes=7" in errors
    assert "data.num_classes=10" in errors


def test_a_sweep_that_is_not_there_is_not_resumed(command):
    status, errors, _ = command("--multirun", "pipeline.resume=x")
    assert status == 2
    assert "no sweep folder" in errors


@pytest.mark.slow
def test_in_a_process_of_its_own(tmp_path):
    process = train("timesteps=0", f"paths.output_dir={tmp_path}/outputs", check=False)
    assert process.returncode == 2
    assert "Traceback" not in process.stdout + process.stderr
    assert "timesteps=0" in process.stderr
    assert not list(tmp_path.rglob("*.yaml"))


def test_without_tensorboard_its_extra_is_named(monkeypatch, tmp_path):
    for package in ("_TENSORBOARD_AVAILABLE", "_TENSORBOARDX_AVAILABLE"):
        monkeypatch.setattr(f"lightning.fabric.loggers.tensorboard.{package}", False)
    with pytest.raises(ModuleNotFoundError) as absent:
        TensorBoardLogger(tmp_path)
    assert '"spikeformer[tensorboard]"' in explain(absent.value, [], config_folder())


def test_without_mlflow_its_extra_is_named(monkeypatch, tmp_path):
    absence = RequirementCache("mlflow>=1000")
    monkeypatch.setattr("lightning.pytorch.loggers.mlflow._MLFLOW_AVAILABLE", absence)
    with pytest.raises(ModuleNotFoundError) as absent:
        mlflow_logger(str(tmp_path))
    assert '"spikeformer[mlflow]"' in explain(absent.value, [], config_folder())
