"""Registers the options of all built-in targets for configurations; imports no torch."""

from __future__ import annotations

from importlib import import_module

from spikeformer.hardware import targets

for _name in targets.names():
    import_module(f"{targets.__name__}.{_name}.schema")
