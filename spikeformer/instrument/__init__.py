"""Watch a network while it runs: its modules by path, its operations one by one, its spikes."""

from spikeformer.instrument.activity import ActivityProbe, LayerActivity, spikes_of, watch_spikes
from spikeformer.instrument.hooks import ModuleWatch, Observe, eager, module_paths, unfused
from spikeformer.instrument.passes import PassWatcher, Trail
from spikeformer.instrument.streams import Function, FunctionStream, OperationStream

__all__ = [
    "ActivityProbe",
    "Function",
    "FunctionStream",
    "LayerActivity",
    "ModuleWatch",
    "Observe",
    "OperationStream",
    "PassWatcher",
    "Trail",
    "eager",
    "module_paths",
    "spikes_of",
    "unfused",
    "watch_spikes",
]
