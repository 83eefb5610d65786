"""From a trained network to neuromorphic chips: lower, quantise, place, run, verify.

Its names stand in `public`, which is imported when the first of them is used: the options of the
targets, below this package, have to be known where no torch is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeformer.hardware import public
    from spikeformer.hardware.public import *  # noqa: F403

    __all__: list[str] = []
    __all__ += public.__all__


def __getattr__(name: str) -> Any:
    if name.startswith("__") and name != "__all__":
        raise AttributeError(name)
    public = import_module(f"{__name__}.public")
    if name != "__all__" and name not in public.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(public, name)


def __dir__() -> list[str]:
    return [*globals(), *import_module(f"{__name__}.public").__all__]
