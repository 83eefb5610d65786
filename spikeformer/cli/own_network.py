"""A network from a person's own file, as the command line names it: `my_net.py:build`."""

from __future__ import annotations

import sys
import traceback
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from spikeformer.error_handling import ConfigurationError, SpikeformerError
from spikeformer.i18n import t


def own_network(target: str) -> nn.Module:
    """Return the network that FILE:NAME or MODULE:NAME stands for, ready for inference.

    The file is run, as Python would run it, with its folder among the places to import from. NAME
    is a network, or a function or class that makes one when it is called without arguments.

    Args:
        target: "my_net.py:build" or "my_lab.nets:build".

    Raises:
        ConfigurationError: There is no such file or name, its code raised an error, or what it
            gives is no network.
    """
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name.isidentifier():
        raise ConfigurationError(t("cli.energy_no_target", target=target))
    module = _module(place)
    if not hasattr(module, name):
        known = ", ".join(sorted(key for key in vars(module) if not key.startswith("_")))
        raise ConfigurationError(t("cli.energy_no_name", place=place, name=name, known=known))
    found = getattr(module, name)
    if not isinstance(found, nn.Module):
        if not callable(found):
            raise ConfigurationError(
                t("cli.energy_no_network", target=target, found=type(found).__name__)
            )
        try:
            found = found()
        except Exception as error:
            raise failed(target, error) from error
    if not isinstance(found, nn.Module):
        raise ConfigurationError(
            t("cli.energy_no_network", target=target, found=type(found).__name__)
        )
    return found.eval()


def _module(place: str) -> ModuleType:
    path = Path(place)
    if path.suffix != ".py":
        sys.path.insert(0, str(Path.cwd()))
        try:
            return import_module(place)
        except Exception as error:
            raise failed(place, error) from error
    if not path.is_file():
        raise ConfigurationError(t("cli.energy_no_file", path=path))
    sys.path.insert(0, str(path.resolve().parent))
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # where its classes look for themselves
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise failed(place, error) from error
    return module


def failed(what: str, error: Exception, **values: Any) -> SpikeformerError:
    """Return what to raise where a person's own code failed; our own errors stay as they are.

    Args:
        what: What was run.
        error: What it raised.
        **values: For the message "cli.energy_fails_on", where an input is to be named.
    """
    if isinstance(error, SpikeformerError):
        return error
    frames = traceback.extract_tb(error.__traceback__)
    foreign = [frame for frame in frames if not _is_library(frame.filename)]
    where = f" ({foreign[-1].filename}:{foreign[-1].lineno})" if foreign else ""
    key = "cli.energy_fails_on" if values else "cli.energy_fails"
    reason = f"{type(error).__name__}: {error}"
    return ConfigurationError(t(key, what=what, reason=reason, where=where, **values))


def _is_library(filename: str) -> bool:
    package = str(Path(__file__).resolve().parents[1])
    return "site-packages" in filename or filename.startswith((package, "<", sys.base_prefix))
