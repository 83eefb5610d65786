"""Watch a network while it runs: its modules by path, its operations one by one, its spikes."""

from spikeformer.instrument.activity import ActivityProbe, LayerActivity, watch_spikes
from spikeformer.instrument.copies import copy_network, uncompiled
from spikeformer.instrument.hooks import ModuleWatch, Observe, eager, module_paths, unfused
from spikeformer.instrument.passes import PassWatcher, Trail
from spikeformer.instrument.recognition import (
    NeuronKind,
    looks_like_neurons,
    neuron_kind,
    recognises,
    spikes_of,
)
from spikeformer.instrument.streams import Function, FunctionStream, OperationStream

__all__ = [
    "ActivityProbe",
    "Function",
    "FunctionStream",
    "LayerActivity",
    "ModuleWatch",
    "NeuronKind",
    "Observe",
    "OperationStream",
    "PassWatcher",
    "Trail",
    "copy_network",
    "eager",
    "looks_like_neurons",
    "module_paths",
    "neuron_kind",
    "recognises",
    "spikes_of",
    "uncompiled",
    "unfused",
    "watch_spikes",
]
