from __future__ import annotations

import importlib
import inspect
import sys

import lightning as L
import pytest
import torch
import torchmetrics
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins import Precision
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.strategies import Strategy
from omegaconf import OmegaConf

from spikeformer.config import check_targets, instantiate, is_allowed
from spikeformer.config.targets import resolve_target
from spikeformer.error_handling import ConfigurationError
from spikeformer.models import ClassificationHead
from spikeformer.pipeline import Fit, Stage
from spikeformer.training.losses import LOSSES, mse

DANGEROUS = [
    "torch.load",
    "torch.hub.load",
    "torch.hub.load_state_dict_from_url",
    "torch.jit.load",
    "torch.jit.ScriptModule",
    "torch.package.PackageImporter",
    "torch.utils.collect_env.run",
    "torch.utils.cpp_extension.load_inline",
    "torch.nn.modules.module.torch.load",
    "torch.nn.modules.linear.torch.jit.ScriptModule",
    "torch.nn.parallel.DistributedDataParallel",
    "torch.optim.optimizer.functools.partial",
    "torch.distributed.run.main",
    "lightning.pytorch.cli.LightningCLI",
    "lightning.pytorch.demos.boring_classes.BoringModel",
    "lightning.pytorch.loggers.MLFlowLogger",
    "lightning.fabric.utilities.cloud_io._load",
    "torchmetrics.multimodal.CLIPScore",
    "torchmetrics.text.BERTScore",
    "spikeformer.cli.main",
    "spikeformer.cli.config.Path.unlink",
    "spikeformer.__main__.main",
    "spikeformer.files.write_text",
    "spikeformer.config.instantiate",
    "spikeformer.pipeline.load_run",
    "spikeformer.caching.TensorCache",
    "spikeformer.models.SpikingTransformer.from_config",
]


@pytest.mark.parametrize("target", DANGEROUS)
@pytest.mark.parametrize("partial", [False, True])
def test_resolve_target_refuses_what_loads_or_runs(target, partial):
    node = {"_target_": target, "_partial_": partial}
    nested = {"_target_": "torch.nn.Sequential", "_args_": [{"a": [node]}]}
    for config in (node, nested):
        with pytest.raises(ConfigurationError, match="may not create"):
            instantiate(config)
        with pytest.raises(ConfigurationError, match="may not create"):
            check_targets(OmegaConf.create({"x": [config]}))


BASES = (
    torch.nn.Module,
    torch.optim.Optimizer,
    torch.optim.lr_scheduler.LRScheduler,
    L.Trainer,
    L.Callback,
    Logger,
    Strategy,
    Precision,
    Profiler,
    torchmetrics.Metric,
)


def members(package):
    """Yield dotted name and value of everything in the modules of a package that are imported."""
    for module in list(sys.modules):
        if module == package or module.startswith(f"{package}."):
            names = list(vars(sys.modules[module]))
            yield from ((f"{module}.{name}", vars(sys.modules[module])[name]) for name in names)


@pytest.mark.filterwarnings("ignore:.*deprecated")
@pytest.mark.parametrize("package", ["torch", "lightning", "torchmetrics"])
def test_is_allowed_accepts_only_types_of_known_kinds(package):
    every = dict(members(package))
    accepted = {name: found for name, found in every.items() if is_allowed(found)}
    assert len(every) > 1000
    assert accepted
    for name, found in accepted.items():
        if not found.__module__.startswith("spikeformer."):
            assert isinstance(found, type), name
            assert issubclass(found, BASES), name
            assert f"{found.__module__}.".startswith(HOMES), name
        if issubclass(found, Logger):
            assert found.__name__ in ("CSVLogger", "TensorBoardLogger")


HOMES = (
    "torch.nn.modules.",
    "torch.optim.",
    "lightning.pytorch.",
    "torchmetrics.classification.",
    "torchmetrics.regression.",
)


OTHERS = (
    "transformers builtins os subprocess pickle importlib shutil runpy ctypes code types functools "
    "operator logging.config webbrowser"
)


@pytest.mark.parametrize("package", OTHERS.split())
def test_is_allowed_accepts_nothing_of_other_packages(package):
    module = importlib.import_module(package)
    names = [name for name in dir(module) if not name.startswith("__")]
    for name in names[:2000]:
        value = vars(module).get(name)  # what a lazy package has not loaded stays unloaded
        assert not is_allowed(value), name
    for name in ("eval", "system", "Popen", "loads", "AutoModel", *names[:3]):
        with pytest.raises(ConfigurationError, match="not trusted"):
            resolve_target("_target_", f"{package}.{name}")


def test_is_allowed_accepts_of_this_package_only_registered_functions():
    found = {value for _, value in members("spikeformer") if is_allowed(value)}
    functions = {each.__name__ for each in found if inspect.isfunction(each)}
    schedules = {"cosine_with_warmup", "one_cycle", "steps_with_warmup"}
    assert functions == {*LOSSES, *schedules, "configure_caches", "mlflow_logger", "wandb_logger"}
    assert {Fit, ClassificationHead} <= found
    names = {each.__name__ for each in found}
    assert not names & {"TensorCache", "PrivacyManager", "Manifest", "Path", "ModelStateCache"}


def test_registered_holds_for_subclasses_in_this_package_alone():
    class Stranger(Stage):
        def run(self, run):
            return {}

    assert is_allowed(Stage)
    assert is_allowed(Fit)
    assert not is_allowed(Stranger)
    assert is_allowed(Stranger, trusted=["tests"])


def test_check_kind_wants_what_the_group_expects():
    head = {"_target_": "spikeformer.models.ClassificationHead", "d_model": 4, "num_classes": 2}
    assert isinstance(instantiate(head, torch.nn.Module), ClassificationHead)
    with pytest.raises(ConfigurationError, match="expected Stage, got ClassificationHead"):
        instantiate(head, Stage)
    loss = {"_target_": "spikeformer.training.losses.mse", "_partial_": True}
    assert instantiate(loss, (torch.nn.Module, mse)).func is mse
    with pytest.raises(ConfigurationError, match=r"^_target_: expected Stage, got mse"):
        instantiate(loss, Stage)


def test_check_result_judges_what_an_own_factory_returns():
    node = {"_target_": "tests.config.test_targets.make_dict"}
    with pytest.raises(ConfigurationError, match="expected Module, got dict"):
        instantiate(node, torch.nn.Module, trusted=["tests"])
    assert instantiate(node, trusted=["tests"]) == {}


def make_dict():
    return {}


def test_instantiate_calls_what_was_checked():
    """A resolver that changes its mind between the check and the call."""
    values = iter(["torch.nn.Identity", "tests.config.test_targets.make_dict"])
    OmegaConf.register_new_resolver("changing", lambda: next(values), replace=True)
    try:
        config = OmegaConf.create({"_target_": "${changing:}"})
        assert isinstance(instantiate(config, trusted=[]), torch.nn.Identity)
    finally:
        OmegaConf.clear_resolver("changing")


@pytest.mark.parametrize("text", ["${oc.env:HOME}", r"a\${b", r"\\${x}", "${a.b}$"])
def test_instantiate_resolves_no_text_twice(text):
    node = {"_target_": f"{__name__}.Keeper", "x": "${given:}"}
    OmegaConf.register_new_resolver("given", lambda: text, replace=True)
    try:
        assert instantiate(OmegaConf.create(node), trusted=["tests"]).x == text
    finally:
        OmegaConf.clear_resolver("given")


class Keeper:
    def __init__(self, x):
        self.x = x


def test_targets_must_be_text():
    with pytest.raises(ConfigurationError, match="as text"):
        instantiate({"_target_": print})
