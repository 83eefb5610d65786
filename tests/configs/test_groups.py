"""Every file of every config group composes and makes what it promises."""

from __future__ import annotations

import pytest
import torch
from hydra import compose as compose_all
from hydra import initialize_config_dir
from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger
from omegaconf import OmegaConf

from spikeformer.cli import compose as composed
from spikeformer.config import instantiate
from spikeformer.conversion import ConversionPipeline
from spikeformer.data import SpikingDataModule
from spikeformer.pipeline import Stage, build_network, wandb_logger
from spikeformer.pipeline.build import build_module
from spikeformer.pipeline.callbacks import build_many
from spikeformer.pipeline.platform import resolve_trainer
from spikeformer.profiling import profiler_backends
from tests.commands import CONF, options

# What an option needs beside itself.
NEEDS = {
    "data=image_folder": ["data.path=x", "data.num_classes=3"],
    "data=csv_text": ["data.path=x", "data.num_classes=3"],
    "data=text_file": ["data.path=x"],
    "data=event_folder": ["data.path=x", "data.num_classes=3"],
    **{
        f"data={name}": ["data.path=x"]
        for name in ("nmnist", "ncaltech101", "ncars", "cifar10_dvs", "dvs_gesture", "shd", "ssc")
    },
    "model=spiking_delays": ["encoding=events"],
    "task=causal_lm": ["data=sst2", "data.task=causal_lm", "model.causal=true"],
    "logger=many": [],
    "model=multimodal": ["data=digits_av"],
    "task=task_incremental": ["data=split_digits"],
}
BUILT = ("neuron", "encoding", "attention", "model", "task", "loss", "optimizer", "scheduler")
# Groups whose options are made in the tests of their stages.
MORE = ("validation", "concurrency", "cache", "compliance")
NETWORKS = [f"{group}={name}" for group in BUILT for name in options(group)]
for name in ("pretrained", "nir"):  # they need a model to load
    NETWORKS.remove(f"model={name}")


def overrides_for(choice: str) -> list[str]:
    if choice.startswith(("model=spiking_transformer", "model=spiking_language_model")):
        return ["data=sst2", choice, *NEEDS.get(choice, [])]
    return [*NEEDS.get(choice, []), choice]


def shallow(choice: str) -> str:
    """Make a network of one block, or of one in each stage."""
    staged = choice.startswith(("model=qkformer", "model=maxformer"))
    if choice.startswith("model=spike_driven_v3"):
        return f"model.depths=[{'1,' * (3 if choice.endswith('large') else 4)}1]"
    if staged and choice.endswith("_dvs"):
        return "model.depths=[1,1]"
    return "model.depths=[1,1,1]" if staged else "model.num_layers=1"


@pytest.mark.parametrize("choice", NETWORKS)
def test_every_option_builds_a_network(choice):
    config = composed(*overrides_for(choice), shallow(choice), "timesteps=2")
    module = build_module(config)
    optimizer = module.optimizer([torch.nn.Parameter(torch.zeros(1))])
    assert isinstance(optimizer, torch.optim.Optimizer)
    if module.scheduler is not None:
        module.scheduler(optimizer, total_steps=10)
    assert sum(p.numel() for p in module.net.parameters()) > 0


@pytest.mark.parametrize("name", options("data"))
def test_every_data_set_composes_with_a_network_that_reads_it(name):
    config = composed(*overrides_for(f"data={name}"), "model.num_layers=1")
    assert isinstance(instantiate(config.data), SpikingDataModule)
    network = build_network(config).eval()
    if name == "digits_av":
        outputs = network(vision=torch.rand(2, 1, 8, 8), audio=torch.randn(2, 6556))
    elif "vocab_size" in config.data:
        outputs = network(torch.randint(config.data.vocab_size, (2, 5)))
        if name == "text_file":  # logits of the next token, at each of the five
            assert outputs.shape == (2, config.timesteps, 5, config.data.vocab_size)
            return
    else:
        size = OmegaConf.to_container(config.data.image_size, resolve=True)
        steps = [config.data.timesteps] if "timesteps" in config.data else []
        outputs = network(torch.rand(2, *steps, config.data.in_channels, *size).round())
    assert outputs.shape == (2, config.timesteps, config.data.num_classes)


@pytest.mark.parametrize("name", options("trainer"))
def test_every_trainer_is_lightnings(name):
    config = composed(f"trainer={name}", "trainer.accumulate_grad_batches=1")
    resolve_trainer(config)
    if name in ("cpu", "auto"):
        assert type(instantiate(config.trainer, logger=False)).__name__ == "Trainer"
    assert config.trainer._target_ == "lightning.Trainer"


@pytest.mark.parametrize("name", options("callbacks"))
def test_every_callback_is_made(name):
    made = build_many(composed(f"callbacks={name}"), "callbacks", Callback)
    assert len(made) == {"default": 7, "none": 0, "energy_early_stopping": 2}.get(name, 1)


# MLflow is an extra of its own: its logger is made in tests/pipeline/test_loggers.py.
@pytest.mark.parametrize("name", [name for name in options("logger") if name != "mlflow"])
def test_every_logger_is_made(name, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    config = composed(f"logger={name}", f"paths.run_dir={tmp_path}")
    made = build_many(config, "logger", (Logger, wandb_logger))
    assert len(made) == {"many": 3, "none": 0}.get(name, 1)


@pytest.mark.parametrize("name", options("pipeline"))
def test_every_pipeline_is_made_of_stages(name):
    stages = [instantiate(node) for node in composed(f"pipeline={name}").pipeline.stages]
    assert stages
    assert all(isinstance(stage, Stage) for stage in stages)


@pytest.mark.parametrize("name", options("regularizer"))
def test_every_regularizer_is_a_callback(name):
    config = composed(f"regularizer={name}")
    if name == "none":
        assert not config.regularizer
    else:
        assert isinstance(instantiate(config.regularizer), Callback)


@pytest.mark.parametrize("name", options("conversion"))
def test_every_conversion_is_made(name):
    node = composed(f"conversion={name}").conversion
    if name == "none":
        assert not node
    else:
        pipeline = instantiate(node)([])
        assert isinstance(pipeline, ConversionPipeline)
        assert pipeline.converter.coding.encoding == node.converter.spike_encoding


def test_converting_loads_a_pretrained_model():
    for data in ("cifar10", "sst2"):
        config = composed("pipeline=convert", f"data={data}", "model.pretrained=folder")
        assert config.model._target_.endswith("PretrainedTransformer")
        assert config.conversion.converter.timesteps == 8
        assert config.data.get("tokenizer", "folder") == "folder"


@pytest.mark.parametrize("name", options("profiler"))
def test_every_profiler_is_made(name):
    config = composed(f"profiler={name}")
    if name == "none":
        assert not config.profiler
    else:
        assert instantiate(config.profiler).backend == name
        assert set(options("profiler")) == {"none", *profiler_backends()}


@pytest.mark.parametrize("group", ["debug", "hardware", "hparams_search", "paths", *MORE])
def test_what_an_option_says_is_in_the_configuration(group):
    for name in options(group):
        file = CONF / group / f"{name}.yaml"
        said = OmegaConf.load(file)
        config = composed(f"{group}={name}")
        everywhere = "# @package _global_" in file.read_text()
        for path, value in leaves(said):
            if path.partition(".")[0] not in ("defaults", "hydra"):
                path = path if everywhere else f"{group}.{path}"
                assert OmegaConf.select(config, path) == value, (name, path)
        if not said:
            assert not config[group], name


def leaves(node, before=""):
    """Yield the path and the value of every key that has no keys of its own and refers to none."""
    for key in node:
        path = f"{before}{key}"
        if OmegaConf.is_dict(node) and OmegaConf.is_dict(node._get_node(key)):
            yield from leaves(node[key], f"{path}.")
        elif not OmegaConf.is_interpolation(node, key):
            yield path, node[key]


def test_hydras_own_settings_are_ours():
    with initialize_config_dir(str(CONF), version_base="1.3"):
        hydra = compose_all("train", return_hydra_config=True).hydra
    assert hydra.job.chdir is False
    assert hydra.output_subdir is None
    assert hydra.help.app_name == "SpikeFormer"
    assert set(hydra.callbacks) == {"run_folder", "sweep"}


def test_no_group_is_forgotten():
    groups = {path.name for path in CONF.iterdir() if path.is_dir()} - {"local"}
    tried = {*BUILT, "data", "trainer", "callbacks", "logger", "profiler", "pipeline", "conversion"}
    assert groups == tried | {
        *("experiment", "debug", "hardware", "hparams_search", "paths", "hydra", "regularizer"),
        *MORE,
    }


def test_all_keys_of_the_default_have_values():
    config = composed()
    assert OmegaConf.missing_keys(config) == set()
    OmegaConf.to_container(config, resolve=True)


def test_a_task_brings_its_loss():
    assert composed("task=regression").loss._target_.endswith(".mse")
    assert composed("task=regression", "loss=mse_rate").loss._target_.endswith(".mse_rate")
