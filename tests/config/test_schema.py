"""Every schema mirrors the constructor of what it describes."""

from __future__ import annotations

import inspect
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore
from hydra.utils import get_object
from omegaconf import MISSING, OmegaConf

import spikeformer.config.schema
import spikeformer.hardware.targets.schemas  # noqa: F401 - registers those of the targets
from spikeformer.config.schema import components, data, running, training
from spikeformer.error_handling import ConfigurationError
from spikeformer.fusion import MultiModalSpikeTransformer
from spikeformer.pipeline.stages.hardware import STAGE_KEYS

# Arguments that code hands over, not configuration.
GIVEN = {
    "schema/attention": {
        "embed_dim", "num_heads", "timesteps", "neuron", "threshold", "norm", "causal",
        "binary_input",
    },
    "schema/conversion": {"calibration_data"},
    "schema/loss": {"outputs", "target"},
    "schema/optimizer": {"params"},
    "schema/scheduler": {"optimizer", "total_steps"},
}  # fmt: skip

# Schemas shared by several targets name none; here is what they stand for.
TARGETS = {
    "schema/encoding/coding": [
        f"spikeformer.encoding.{name}Coding" for name in ("Rate", "Latency")
    ],
    "schema/encoding/poisson": ["spikeformer.encoding.PoissonCoding"],
    "schema/encoding/delta": ["spikeformer.encoding.DeltaCoding"],
    "schema/hardware/target": ["spikeformer.hardware.SimulationDeployer"],
    "schema/loss/loss": [
        f"spikeformer.training.losses.{n}"
        for n in ("spike_count_loss", "binary_cross_entropy", "mse", "next_token")
    ],
    "schema/loss/cross_entropy": ["spikeformer.training.losses.cross_entropy"],
    "schema/loss/tet": ["spikeformer.training.losses.tet"],
    "schema/loss/mse_rate": ["spikeformer.training.losses.mse_rate"],
}

# Targets of ours with another library's constructor.
INHERITED = {"spikeformer.training.callbacks.BestAndLast"}
# Targets that hand further keys on to a part of theirs.
PARTS = {"schema/model/multimodal": MultiModalSpikeTransformer}
# Targets that hand further keys on to another library.
OPEN = {"schema/logger/wandb"}
# Keys that the pipeline's stages read themselves.
STAGES = {"schema/hardware": set(STAGE_KEYS)}


def cases():
    """(key, dataclass, target) of every registered schema that describes an object."""
    found = []
    for group, nodes in ConfigStore.instance().repo["schema"].items():
        for file, node in nodes.items():
            key = f"schema/{group}/{file.removesuffix('.yaml')}"
            kind = OmegaConf.get_type(node.node)
            if "_target_" in kind.__dataclass_fields__:
                target = kind.__dataclass_fields__["_target_"].default
                paths = TARGETS[key] if target == MISSING else [target]
                found += [pytest.param(key, kind, path, id=f"{key[7:]}:{path}") for path in paths]
    return found


def parameters(target) -> dict[str, inspect.Parameter]:
    """Arguments of a constructor, with those it hands on to its bases as **kwargs."""
    if not inspect.isclass(target):
        named = inspect.signature(target).parameters
        return {n: p for n, p in named.items() if p.kind is not p.VAR_KEYWORD}
    found: dict[str, inspect.Parameter] = {}
    for base in target.__mro__:
        if "__init__" not in vars(base) or base is object:
            continue
        own = dict(inspect.signature(base.__init__).parameters)
        own.pop("self")
        open_ended = any(p.kind is p.VAR_KEYWORD for p in own.values())
        for name, parameter in own.items():
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                found.setdefault(name, parameter)
        if not open_ended:
            break
    return found


def default_of(field) -> Any:
    value = field.default
    if value is NO_DEFAULT:
        value = field.default_factory() if field.default_factory is not NO_DEFAULT else MISSING
    return value


@pytest.mark.parametrize(("key", "kind", "path"), cases())
def test_fields_are_the_constructors_arguments(key, kind, path):
    group = key.rpartition("/")[0]
    arguments = parameters(get_object(path))
    if key in PARTS:
        offered = {f.name for f in fields(kind)}
        part = parameters(PARTS[key])
        arguments = {n: p for n, p in part.items() if n in offered} | arguments
    keys = {f.name: f for f in fields(kind) if f.name not in ("_target_", "_partial_")}
    if key not in OPEN:
        assert set(keys) - STAGES.get(group, set()) <= set(arguments)
    if not path.startswith("spikeformer.") or path in INHERITED:
        return  # of other libraries' many arguments a schema offers some
    assert set(arguments) - GIVEN.get(group, set()) <= set(keys)
    for name, field in keys.items():
        default = default_of(field)
        if default == MISSING or name not in arguments:
            continue
        if is_dataclass(default):  # a component inside another
            test_fields_are_the_constructors_arguments(key, type(default), default._target_)
            continue
        expected = arguments[name].default
        if isinstance(expected, tuple):
            expected = list(expected)
        assert default == expected, f"{kind.__name__}.{name}"


@pytest.mark.parametrize(("key", "kind", "path"), cases())
def test_a_misspelt_key_and_a_wrong_type_are_refused(key, kind, path):
    config = OmegaConf.structured(kind)
    with pytest.raises(Exception, match=r"(?s)timstep.*object_type=" + kind.__name__):
        OmegaConf.update(config, "timstep", 3)
    for field in fields(kind):
        if field.type in ("int", int):
            with pytest.raises(Exception, match="could not be converted to Integer"):
                OmegaConf.update(config, field.name, "many")


def test_schemas_import_no_torch():
    source = "".join(inspect.getsource(m) for m in (components, data, running, training))
    assert "import torch" not in source
    assert issubclass(ConfigurationError, ValueError)
