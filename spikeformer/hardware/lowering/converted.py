"""From a converted network to populations of differential neurons and functions of a host.

The network runs once on one sample, in float64. What its neurons encode becomes a population; a
linear layer on events becomes synapses; all else is written down, function by function, for the
host. Where a linear layer's output only moves on its way to the next neurons, synapses lead
straight there; where both sides of a population are the host's, it has the neurons itself. With
spiking functions the chip's neurons compute them (`functions.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from spikeformer.conversion import SpikingModel
from spikeformer.conversion.coding.forms import form_of, group
from spikeformer.conversion.tracing.example_inputs import make_inputs
from spikeformer.conversion.tracing.interception import Affine, Bilinear, Engine, intercept
from spikeformer.conversion.tracing.plan import Operation
from spikeformer.data.batch import arguments
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware.ir.differential import Scheme
from spikeformer.hardware.ir.functions import GROUP
from spikeformer.hardware.ir.graph import Population
from spikeformer.hardware.ir.hosted import HostedGraph
from spikeformer.hardware.lowering.assembly import EncodedValue, GraphAssembly, Layer
from spikeformer.hardware.lowering.functions import FunctionAssembly
from spikeformer.hardware.lowering.tape import Tape
from spikeformer.i18n import t
from spikeformer.instrument import Function, Trail, copy_network


@dataclass
class ConvertedTrace(Engine):
    """Sees what a converted network computes, and what of it are products on events."""

    model: SpikingModel
    trail: Trail
    types: Mapping[str, str]
    tape: Tape = field(init=False)
    sites: dict[str, EncodedValue] = field(default_factory=dict)
    layers: dict[str, Layer] = field(default_factory=dict)
    _last: tuple[Tensor, Tensor] | None = None

    def __post_init__(self) -> None:
        self.tape = Tape(lambda: self.trail.path)
        coding = self.model.coding
        self.scheme = Scheme(coding.levels, coding.mantissa, coding.leak)
        self._thresholds = self.model.thresholds.by_site()

    def affine(self, product: Affine) -> Tensor:
        """Note a linear layer on events; a convolution, or one on what comes in, is the host's."""
        operation, turn = self._operation(product.function)
        encoded = self._encode(operation.sites["input"], product.x, turn)
        name = self.tape.name_of(encoded)
        if encoded is product.x or product.function not in ("linear", "addmm"):
            return product.apply(encoded)
        weight, bias = product.parameters
        assert weight is not None
        assert name is not None
        if any(self.tape.name_of(x) for x in product.parameters if x is not None):
            raise self.tape.refuse(t("hardware.weights_change"))
        weights = (weight if product.function == "linear" else weight.t()).numpy()
        added = None if bias is None else np.broadcast_to(bias.numpy(), len(weights))
        with self.tape.paused():
            result = product.apply(encoded)
            ours = encoded.numpy() @ weights.T + (0.0 if added is None else added)
        if not np.allclose(result.numpy(), ours):
            raise self.tape.refuse(t("hardware.not_linear"))
        made = self.tape.name(result, f"{operation.name}.output")
        self.layers[made] = Layer(made, name, weights, added, tuple(result.shape))
        return result

    def bilinear(self, product: Bilinear) -> Tensor:
        """Note a product of activations: the host computes it on the rates of their events."""
        operation, turn = self._operation(product.function)
        left, right = (
            self._encode(operation.sites[role], tensor, turn)
            for role, (tensor, _) in product.operands.items()
        )
        return product.apply(left, right)

    def other(self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function that the tape writes down by itself, or its spiking form."""
        form = form_of(self.model.coding, function)
        return function(*args, **kwargs) if form is None else form(self._group, *args, **kwargs)

    def _group(self, name: str, x: Tensor) -> Tensor:
        with self.tape.paused():
            result = group(name, x)
        if self.tape.name_of(x) is not None:
            self.tape.write(f"{GROUP}{name}", (x,), result)
        return result

    def _operation(self, function: str) -> tuple[Operation, int]:
        name, turn = self.trail.next_operation(function)
        operation = self.model.plan.operations.get(name)
        if operation is None:
            raise self.tape.refuse(t("hardware.other_path", function=function))
        return operation, turn

    def _encode(self, site: str | None, x: Tensor, turn: int) -> Tensor:
        if site is None:
            return x
        if self._last is not None and self._last[0] is x:
            return self._last[1]
        source = self.model.plan.sites[site].source
        with self.tape.paused():
            encoded = x.clone()
            unit = (self._thresholds[source] / self.scheme.largest).expand(x.shape)
        value = self.tape.value(x)
        name = self.tape.name(encoded, source if not turn else f"{source}_{turn + 1}")
        self.sites[name] = EncodedValue(name, value, unit.numpy().astype(np.float64))
        self._last = (x, encoded)
        return encoded


def lower_converted(
    model: SpikingModel, inputs: Mapping[str, Sequence[int]] | Sequence[int] | None = None
) -> HostedGraph:
    """Turn a converted network into a graph for a chip and its host.

    Args:
        model: The network, which is not changed.
        inputs: Shapes of one sample's inputs by the argument's name, or of the only one; None
            takes those of the inputs that the converter makes up.

    Raises:
        HardwareCompatibilityError: It is not coded differentially, or the host does not have one
            of its functions; the message names the layer.
    """
    if model.coding.encoding != "rate":
        raise HardwareCompatibilityError(
            t("hardware.not_differential", encoding=model.coding.encoding)
        )
    net = copy_network(model)
    assert isinstance(net, SpikingModel)
    net.cpu().double().eval()
    given = _example(net, inputs)
    trace = ConvertedTrace(net, Trail(net.original), net.types)
    sources = {}
    for name, tensor in given.items():
        trace.tape.name(tensor, name)
        sources[name] = Population(name, tuple(tensor.shape[1:]), "values")
    args, kwargs = ((given["input"],), {}) if given.keys() == {"input"} else ((), given)
    with torch.no_grad(), trace.trail, intercept(trace), trace.tape:
        output = net.original(*args, **kwargs)
    kind = GraphAssembly if net.coding.functions == "exact" else FunctionAssembly
    assembly = kind(trace.tape, trace.sites, trace.layers, trace.scheme, sources)
    return assembly.graph(main_output(output), net.timesteps)


def main_output(output: Any) -> Tensor:
    """Return the logits of an output, or its first floating-point tensor."""
    logits = getattr(output, "logits", None)
    if isinstance(logits, Tensor):
        return logits
    return next(
        leaf
        for leaf in tree_leaves(output)
        if isinstance(leaf, Tensor) and leaf.dtype.is_floating_point
    )


def _example(model: SpikingModel, shapes: Any) -> dict[str, Tensor]:
    """Return one sample's inputs by name, in float64 where they are not integers."""
    main = getattr(model.original, "main_input_name", "input")
    if shapes is None:
        args, kwargs = arguments(make_inputs(model.original))
        named = kwargs or {"input": args[0]}
    else:
        sizes = shapes if isinstance(shapes, Mapping) else {main: shapes}
        named = {name: torch.ones((1, *size), dtype=_dtype(name)) for name, size in sizes.items()}
    example = {
        name: x[:1].clone().double() if x.is_floating_point() else x[:1].clone()
        for name, x in named.items()
    }
    if "attention_mask" in example:
        # The way of a sentence that is padded, which one that is not can go as well.
        example["attention_mask"][:, -1] = 0
    return example


def _dtype(name: str) -> torch.dtype:
    """Return the type of an argument: tokens and masks are integers."""
    return torch.int64 if name.endswith(("_ids", "_mask")) else torch.float64
