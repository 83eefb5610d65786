"""SpikeFormer: an experiment framework for spiking transformers.

Public names are loaded when they are first used, so that `import spikeformer` stays fast.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__version__ = "0.2.0"

_HOMES = {
    "spikeformer.cli": ("compose",),
    "spikeformer.concurrency": ("ParallelSpikingTrainer",),
    "spikeformer.config": ("ConcurrencyConfig", "FusionConfig", "SpikingConfig"),
    "spikeformer.conversion": ("ConversionPipeline", "SpikeformerConverter"),
    "spikeformer.data": ("SpikingDataModule",),
    "spikeformer.encoding": (
        "DeltaCoding",
        "DirectCoding",
        "LatencyCoding",
        "PoissonCoding",
        "RateCoding",
        "SpikeEncoder",
    ),
    "spikeformer.error_handling": (
        "ConversionError",
        "HardwareCompatibilityError",
        "NeuromorphicError",
        "SpikeformerError",
        "SpikingDynamicsError",
        "error_context",
    ),
    "spikeformer.fusion": ("CrossModalAttentionFusion", "MultiModalSpikeTransformer"),
    "spikeformer.hardware": (
        "DeployedModel",
        "HardwareModel",
        "Loihi2Deployer",
        "NeuromorphicDeployer",
        "SimulationDeployer",
        "SpiNNakerDeployer",
    ),
    "spikeformer.i18n": ("format_energy", "format_percentage", "format_time"),
    "spikeformer.models": (
        "ClassificationHead",
        "SpikingAttention",
        "SpikingNetwork",
        "SpikingTransformer",
        "SpikingViT",
        "load_checkpoint_of",
    ),
    "spikeformer.multimodal": (
        "AudioSpikeEncoder",
        "MultiModalNetwork",
        "TextSpikeEncoder",
        "VisionSpikeEncoder",
    ),
    "spikeformer.neurons": (
        "AdLifNeuron",
        "IntegerLifNeuron",
        "LifNeuron",
        "ParametricLifNeuron",
        "SpikingNeuron",
    ),
    "spikeformer.pipeline": ("run_pipeline",),
    "spikeformer.runs": ("load_run",),
    "spikeformer.profiling": ("EnergyProfiler", "PowerMonitor"),
    "spikeformer.research": (
        "AdaptiveSpikeThreshold",
        "ElasticWeightConsolidation",
        "LifetimeLearningSpikingTransformer",
        "MetaplasticSynapses",
    ),
    "spikeformer.training": (
        "HybridTrainer",
        "SpikingModule",
        "SpikingTrainer",
        "TrainingHistory",
    ),
}
PROVIDERS = {"technologies": ("spikeformer.hardware.targets.prices",)}
"""Modules that fill a registry of a package below them, which imports them at the first need."""

_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


@contextmanager
def importing() -> Iterator[None]:
    """Import without looking for garbage, of which modules make none; it takes a third of the time.

    The collector is as before afterwards.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def lazily(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a package that imports its names at their first use.

    What only reads a run's records then needs no torch, although their classes stand in packages
    that do. The package's `__init__` says once where its names stand:

        if TYPE_CHECKING:
            from spikeformer.data.preparation import Preparation
        else:
            __getattr__, __dir__ = lazily(__name__)

    Args:
        package: Full name of the package, which is being imported. No name may be that of one of
            its modules, which Python puts into the same place.
    """
    import ast  # of other packages' imports: this one stays the fastest
    import inspect

    module = sys.modules[package]
    source = inspect.getsource(module)
    homes = {
        alias.name: statement.module
        for block in ast.parse(source).body
        if isinstance(block, ast.If)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }

    def find(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with importing():
            value = getattr(importlib.import_module(home), name)
        setattr(module, name, value)
        return value

    return find, lambda: [*vars(module), *homes]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        with importing():
            value = getattr(importlib.import_module(_HOME_OF[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
