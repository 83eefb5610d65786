"""What can be done with a run that has trained."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from omegaconf import DictConfig

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.i18n import t


def next_steps(folder: Path, config: DictConfig, chosen: str | None) -> str | None:
    """Return what to do next, in a line; None if the run has trained nothing.

    Args:
        folder: The run folder.
        config: The run's configuration.
        chosen: Its option of the group `hardware`.
    """
    from spikeformer.runs import RunFolder

    if not RunFolder(folder).checkpoint("last").is_file():
        return None
    program = "python train.py" if Path(sys.argv[0]).name == "train.py" else "spikeformer"
    hardware = chosen if config.hardware else _target(config)
    key = "cli.next_of_trained" if hardware is None else "cli.next_of_deployable"
    return t(key, program=program, run=shlex.quote(str(folder)), hardware=hardware)


def _target(config: DictConfig) -> str | None:
    """Return a target for any network that chips take, a chip if its toolchain is installed here.

    None if no chip takes the run's network or task.
    """
    from spikeformer.hardware.lowering import obstacles
    from spikeformer.hardware.targets import deployer_classes
    from spikeformer.pipeline.build import build_module
    from spikeformer.training import ClassificationModule, LanguageModule

    module = build_module(config)
    classifies = isinstance(module, ClassificationModule | LanguageModule)
    if not classifies or any(True for _ in obstacles(module.net)):
        return None
    everything = [made for made in deployer_classes().values() if made.target.graded]
    for deployer in sorted(everything, key=lambda made: made.target.limits is None):
        try:
            deployer().check()
        except HardwareCompatibilityError:
            continue
        return deployer.target.name
    return None
