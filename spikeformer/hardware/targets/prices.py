"""Tells the profiler what operations cost on each target that has published figures."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from spikeformer.hardware import targets
from spikeformer.profiling import register_technologies

for _name in targets.names():
    if find_spec(_module := f"{targets.__name__}.{_name}.prices") is not None:
        register_technologies(*import_module(_module).PRICES.values())
