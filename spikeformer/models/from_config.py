"""What a `SpikingConfig` means to the constructors of the models."""

from __future__ import annotations

from functools import partial
from typing import Any

from spikeformer.config import SpikingConfig
from spikeformer.error_handling import check_choice
from spikeformer.models.attention import SpikingAttention
from spikeformer.models.mechanisms import MechanismFactory
from spikeformer.neurons import NEURONS, AdLifNeuron, LifNeuron, NeuronFactory
from spikeformer.ops import SURROGATES


def model_arguments(config: SpikingConfig, mechanism: MechanismFactory) -> dict[str, Any]:
    """Return the keyword arguments that both `SpikingTransformer` and `SpikingViT` take.

    Args:
        config: The settings.
        mechanism: Factory of the attention mechanism, which a `SpikingConfig` leaves open.

    Raises:
        ArgumentError: The neuron model or the surrogate gradient is unknown.
    """
    return {
        "timesteps": config.timesteps,
        "threshold": config.threshold,
        "dropout": config.dropout,
        "neuron": neuron_factory(config),
        "attention": partial(SpikingAttention, mechanism=mechanism, dropout=config.dropout),
        "norm": "layer" if config.layer_norm else "batch",
    }


def neuron_factory(config: SpikingConfig) -> NeuronFactory:
    """Return a factory of the neurons that `config` describes, all but their threshold."""
    check_choice("neuron_model", config.neuron_model, NEURONS)
    check_choice("surrogate_gradient", config.surrogate_gradient, SURROGATES)
    kind = NEURONS[config.neuron_model]
    settings: dict[str, Any] = {"tau_mem": config.tau_mem}
    if issubclass(kind, LifNeuron):  # an integer LIF has a straight-through gradient instead
        settings["surrogate_type"] = config.surrogate_gradient
    if issubclass(kind, AdLifNeuron):
        settings |= {"tau_adp": config.tau_adp, "beta": config.beta}
    return partial(kind, **settings)
