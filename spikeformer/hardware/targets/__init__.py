"""The targets: a folder for each, and what runs their toolchains.

A folder holds `target` (the deployer and all that is known of the chip), `schema` (its options in
configurations) and, where there are published figures, `prices`. Nothing else names a chip: who
needs one asks `names`, `deployer_classes` or a deployer's `target`. A deployer of somebody else's
needs none of this; a configuration names its class.

`worker` in a folder holds programs that run inside the toolchain's environment, one process for
each call. They see neither torch nor the rest of SpikeFormer but `exchange`: each runs in a private
folder that holds `job.npz` and `job.json`, and leaves `result.npz` and `result.json` there.

Importing this package, or a target's `schema`, imports no torch.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spikeformer.hardware.deployer import NeuromorphicDeployer


def names() -> list[str]:
    """Return the names of the built-in targets."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)


def deployer_classes() -> dict[str, type[NeuromorphicDeployer]]:
    """Return the deployers of the built-in targets by name."""
    return {name: import_module(f"{__name__}.{name}.target").DEPLOYER for name in names()}
