"""From a trained network to a spiking one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from spikeformer.config import registered
from spikeformer.conversion.calibration.magnitudes import Magnitudes
from spikeformer.conversion.coding.coding import FINE_MANTISSA, LEVELS, WIDE_LEVELS, Coding
from spikeformer.conversion.generation import generates
from spikeformer.conversion.model import SpikingModel
from spikeformer.conversion.report import ConversionReport
from spikeformer.conversion.tracing.analysis import Analysis
from spikeformer.conversion.tracing.example_inputs import make_inputs
from spikeformer.conversion.tracing.functions import REMEDIES
from spikeformer.conversion.tracing.plan import ConversionPlan, describe
from spikeformer.data.batch import arguments
from spikeformer.error_handling import (
    ArgumentError,
    ConversionError,
    check_positive,
    check_positive_int,
)
from spikeformer.i18n import t
from spikeformer.instrument import copy_network, uncompiled, unfused

HEADROOM = 1.5
"""How far above the largest activation of made-up inputs the largest level lies."""

SMALLEST = 1e-4
"""Least threshold: a channel that is silent in calibration may yet speak."""

TOLERANCE = 1e-4
"""Largest relative difference from the original that the check without neurons accepts."""


@registered
class SpikeformerConverter:
    """Turns a trained network into a spiking one without training it.

    Works on any module tree whose computing is done by linear layers, convolutions, matrix products
    and attention, whoever wrote it: encoders of `transformers` need no wrapper. What lies between
    (LayerNorm, GELU, softmax) stays in floating point, applied to the rate so far.

    Without calibration data the largest levels come from one pass over made-up inputs (or over
    `example_inputs`), channel by channel: the largest value, with `HEADROOM`. `ConversionPipeline`
    takes them from real data. A language model's reach further, since a few of its channels and
    tokens are far larger than all others (`Coding.headroom`).

    Args:
        timesteps: Timesteps of a call; 8 are enough for rate coding, more cost time alone.
        threshold: Scales the largest level of every neuron; above 0.
        spike_encoding: "rate", "radix" or "binary"; see `Coding` for what each costs.
        neuron_model: "LIF" or "IF".
        levels: Powers of two that a spike's size is chosen from with rate coding; None takes 24
            for a language model of `transformers` that generates, and 8 for all others.
        mantissa: Bits of a spike's size behind its leading one, likewise; None takes 1 for a
            language model, and 0 for all others.
        tau_mem: Time constant of the LIF neurons' leak in ms; a timestep is 1 ms.
        functions: "exact" computes softmax, layer norm and GELU in floating point, "spiking" with
            groups of neurons, so that a chip needs no host for them.
        strict: Refuse a network that holds something without a spiking form; False keeps that
            in floating point.

    Raises:
        ArgumentError: A value lies outside its range.

    Example:
        >>> from transformers import ViTConfig, ViTModel
        >>> config = ViTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        ...                    intermediate_size=64, image_size=32, patch_size=8)
        >>> vit = ViTModel(config).eval()
        >>> snn = SpikeformerConverter(timesteps=8).convert(vit)
        >>> snn(pixel_values=torch.zeros(1, 3, 32, 32)).last_hidden_state.shape
        torch.Size([1, 17, 32])
    """

    def __init__(
        self,
        timesteps: int = 32,
        threshold: float = 1.0,
        spike_encoding: str = "rate",
        neuron_model: str = "LIF",
        *,
        levels: int | None = None,
        mantissa: int | None = None,
        tau_mem: float = 100.0,
        functions: str = "exact",
        strict: bool = True,
    ) -> None:
        self.timesteps = check_positive_int("timesteps", timesteps)
        self.threshold = check_positive("threshold", threshold)
        self.levels, self.mantissa = levels, mantissa
        self.coding = Coding(
            spike_encoding,
            neuron_model,
            LEVELS if levels is None else levels,
            tau_mem,
            mantissa or 0,
            functions,
        )
        self.strict = strict
        self._converted: SpikingModel | None = None

    def convert(self, ann_model: nn.Module, example_inputs: Any = None) -> SpikingModel:
        """Return the spiking network; the original stays as it is.

        Args:
            ann_model: The network; it is converted as it behaves in evaluation mode.
            example_inputs: A tensor, a tuple of positional arguments or a dict of keyword
                arguments that the network accepts; None makes some up.

        Raises:
            ConversionError: A module has no spiking form, weights are NaN, the example does not
                fit, or no example could be made up. The message says which module and what to do.
        """
        guessed = example_inputs is None
        spiking = self.prepare(ann_model)
        inputs = make_inputs(spiking.original) if guessed else example_inputs
        magnitudes = Magnitudes(quantile=1.0)
        self.analyse(spiking, [inputs], magnitudes)
        self.set_thresholds(spiking, magnitudes, HEADROOM if guessed else 1.0)
        verify(spiking, inputs)
        return spiking

    def report(self) -> ConversionReport:
        """Return what became of every module of the network converted last.

        Raises:
            ConversionError: None has been converted yet.
        """
        if self._converted is None:
            raise ConversionError("Nothing has been converted yet: call convert(model) first.")
        return self._converted.report()

    def prepare(self, ann_model: nn.Module) -> SpikingModel:
        """Copy a network, check it, and make it ready to be analysed."""
        if not isinstance(ann_model, nn.Module):
            raise ArgumentError("ann_model", type(ann_model).__name__, "a torch.nn.Module")
        if isinstance(ann_model, SpikingModel):
            raise ConversionError("This network is converted already; convert its original.")
        for path, module in ann_model.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                raise ConversionError(
                    f"{path or 'The network'} is TorchScript, whose layers nothing here sees. "
                    "Convert the Python network that it was traced or scripted from."
                )
            if getattr(module, "_is_stateful", False):
                raise ConversionError(
                    f"{describe(path, {path: type(module).__name__})} keeps a recurrent state from "
                    "token to token, as Mamba does, which has no spiking form here. Convert a "
                    "model whose tokens meet in attention alone, such as Llama or GPT-2."
                )
        _check_weights(ann_model)
        network = uncompiled(copy_network(ann_model)).eval()
        write_out_attention(network)
        coding = self.coding
        if coding.encoding == "rate" and generates(network):
            levels = WIDE_LEVELS if self.levels is None else self.levels
            mantissa = FINE_MANTISSA if self.mantissa is None else self.mantissa
            coding = replace(coding, levels=levels, mantissa=mantissa)
        return SpikingModel(network, coding, self.timesteps)

    def analyse(
        self, spiking: SpikingModel, batches: Iterable[Any], magnitudes: Magnitudes
    ) -> None:
        """Find a network's sites and measure its activations on some inputs.

        Raises:
            ConversionError: An input does not fit the network, or it holds what has no spiking
                form.
        """
        analysis = Analysis(spiking.original, spiking.types, magnitudes)
        for inputs in batches:
            try:
                analysis.run(*arguments(inputs))
            except (RuntimeError, ValueError, TypeError, IndexError) as error:
                raise ConversionError(
                    t(
                        "conversion.cannot_run",
                        inputs=_shown(inputs),
                        reason=str(error).splitlines()[0],
                        where=analysis.where,
                    )
                ) from error
        spiking.plan = analysis.plan
        self._converted = spiking
        if self.strict:
            _refuse(analysis.plan, spiking.types)

    def set_thresholds(
        self, spiking: SpikingModel, magnitudes: Magnitudes, headroom: float
    ) -> None:
        """Set every site's largest levels from what was measured."""
        device = next((p.device for p in spiking.original.parameters()), None)
        headroom *= spiking.coding.headroom
        for site in spiking.plan.sites.values():
            if site.same_as is None:
                theta = magnitudes.threshold(site.name, None if site.axes else 1.0)
                if not torch.isfinite(theta).all():
                    raise ConversionError(
                        t("conversion.input_not_finite", where=describe(site.module, spiking.types))
                    )
                theta = (theta * headroom * self.threshold).clamp(min=SMALLEST)
                spiking.thresholds.set(site.name, theta.to(device))


def write_out_attention(network: Any) -> None:
    """Switch a model of `transformers` to attention that is written out, weights and all."""
    if hasattr(network, "set_attn_implementation"):
        network.set_attn_implementation("eager")


def verify(spiking: SpikingModel, inputs: Any) -> None:
    """Check that a network without its neurons computes what the original computes.

    Raises:
        ConversionError: It does not.
    """
    args, kwargs = arguments(inputs)
    # Fused layers differ at padding, which nobody reads.
    with torch.no_grad(), unfused:
        wanted = spiking.original(*args, **kwargs)
        outputs = spiking.without_neurons(*args, **kwargs)
    for output in outputs:
        for ours, theirs in zip(_tensors(output), _tensors(wanted), strict=True):
            if theirs.is_floating_point():
                tolerance = TOLERANCE if theirs.dtype == torch.float32 else 0.05
                scale = theirs.abs().amax().clamp(min=1e-6)
                if not (ours - theirs).abs().amax() <= tolerance * scale:
                    raise ConversionError(
                        t("conversion.not_equivalent", network=type(spiking.original).__name__)
                    )


def _tensors(output: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]


def _check_weights(network: nn.Module) -> None:
    for name, parameter in [*network.named_parameters(), *network.named_buffers()]:
        if parameter.is_floating_point() and not torch.isfinite(parameter).all():
            raise ConversionError(
                t("conversion.weights_not_finite", name=name, network=type(network).__name__)
            )


def _refuse(plan: ConversionPlan, types: dict[str, str]) -> None:
    for path, names in plan.refused.items():
        name = names[0]
        raise ConversionError(
            t(
                "conversion.refused",
                where=describe(path, types),
                function=name,
                remedy=_remedy(name),
            )
        )


def _remedy(name: str) -> str:
    return t(REMEDIES.get(name, "conversion.remedy_other"))


def _shown(inputs: Any) -> str:
    args, kwargs = arguments(inputs)
    named = {**{f"argument {i}": x for i, x in enumerate(args)}, **kwargs}
    return ", ".join(
        f"{name} {tuple(x.shape)} {x.dtype} on {x.device}" if isinstance(x, Tensor) else name
        for name, x in named.items()
    )
