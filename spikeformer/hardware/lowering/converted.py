"""From a converted network to populations of differential neurons and functions of a host.

The network runs once on one sample, in float64. What its neurons encode becomes a population; a
linear layer on events becomes synapses; all else is written down, function by function, for the
host. Where a linear layer's output only moves on its way to the next neurons, synapses lead
straight there; where both sides of a population are the host's, it has the neurons itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.utils._pytree import tree_leaves

from spikeformer.conversion import SpikingModel
from spikeformer.conversion.tracing.example_inputs import make_inputs
from spikeformer.conversion.tracing.interception import Affine, Bilinear, Engine, intercept
from spikeformer.conversion.tracing.plan import Operation
from spikeformer.data.batch import arguments
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware.ir.differential import Scheme
from spikeformer.hardware.ir.functions import FUNCTIONS
from spikeformer.hardware.ir.graph import Array, Population, Projection
from spikeformer.hardware.ir.hosted import Differential, HostedGraph
from spikeformer.hardware.ir.operators import Operator, Sparse, TokenLinear
from spikeformer.hardware.ir.runtime import ENCODE, RATE, STATIC, HostOperation
from spikeformer.hardware.lowering.tape import Tape
from spikeformer.i18n import t
from spikeformer.instrument import Function, Trail, copy_network


@dataclass(frozen=True, eq=False)
class Layer:
    """A linear layer on events: weights (out, in), bias and the shape of its output."""

    name: str
    source: str
    weights: Array
    bias: Array | None
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class EncodedValue:
    """Neurons: the value that they encode and the smallest event of each of its elements."""

    name: str
    value: str
    unit: Array


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
        """Run a function that the tape writes down by itself."""
        return function(*args, **kwargs)

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
    return _Build(trace, sources).graph(main_output(output), net.timesteps)


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
        whole = any(name.endswith(("_ids", "_mask")) for name in sizes)
        dtype = torch.int64 if whole else torch.float64
        named = {name: torch.ones((1, *size), dtype=dtype) for name, size in sizes.items()}
    example = {
        name: x[:1].clone().double() if x.is_floating_point() else x[:1].clone()
        for name, x in named.items()
    }
    if "attention_mask" in example:
        # The way of a sentence that is padded, which one that is not can go as well.
        example["attention_mask"][:, -1] = 0
    return example


class _Build:
    """Makes a graph of what a trace found, as far as the output depends on it."""

    def __init__(self, trace: ConvertedTrace, sources: dict[str, Population]) -> None:
        self.trace, self.tape = trace, trace.tape
        self.populations: dict[str, Population] = dict(sources)
        self.projections: list[Projection] = []
        self.functions: list[HostOperation] = []
        self.constants: dict[str, Array] = {}
        self._depths: dict[str, int] = dict.fromkeys(sources, STATIC)
        self._direct = {name: self._origin(site) for name, site in trace.sites.items()}

    def graph(self, output: Tensor, timesteps: int) -> HostedGraph:
        """Return the graph of everything that an output depends on."""
        wanted = self.tape.name_of(output)
        if wanted is None:
            raise HardwareCompatibilityError(t("hardware.output_fixed"))
        needed, read = self._needed(wanted)
        on_chip = {layer.source for name, layer in self.trace.layers.items() if name in needed}
        for name in self.tape.order:
            if name not in needed:
                continue
            if name in self.trace.sites:
                site, direct = self.trace.sites[name], self._direct[name]
                if direct is None and name not in on_chip:
                    self._host_neurons(site)
                else:
                    self._population(site, direct, natural=name in on_chip, read=name in read)
            elif name in self.trace.layers:
                if name in read:
                    self._sums(self.trace.layers[name])
            elif name in self.tape.functions:
                self._function(self.tape.functions[name])
        if not self.projections:
            raise HardwareCompatibilityError(t("hardware.no_neurons"))
        return HostedGraph(
            timesteps,
            self.populations,
            tuple(self.projections),
            name="network",
            scheme=self.trace.scheme,
            functions=tuple(self.functions),
            constants=self.constants,
            output=wanted,
        )

    def _needed(self, output: str) -> tuple[set[str], set[str]]:
        """Return all names that an output depends on, and those that functions read."""
        needed: set[str] = set()
        read = {output}
        waiting = [output]
        while waiting:
            name = waiting.pop()
            if name in needed:
                continue
            needed.add(name)
            if name in self.trace.sites:
                direct = self._direct[name]
                taken = [self.trace.sites[name].value] if direct is None else [direct[0].name]
                read.update(taken if direct is None else ())
            elif name in self.trace.layers:
                taken = [self.trace.layers[name].source]
            elif name in self.tape.functions:
                taken = self.tape.functions[name].values
                read.update(taken)
            else:
                taken = []
            waiting += taken
        return needed, read

    def _origin(self, site: EncodedValue) -> tuple[Layer, Array] | None:
        """Return the layer whose output a site encodes, and which of it each element is."""
        origin, moves = self.tape.origin(site.value)
        layer = self.trace.layers.get(origin)
        if layer is None:
            return None
        places = np.arange(prod(layer.shape)).reshape(layer.shape)
        for move in moves:
            places = FUNCTIONS[move.function](places, *move.arguments[1:], **move.settings)
        flat = places.ravel()
        return (layer, flat) if len(np.unique(flat)) == len(flat) else None

    def _population(
        self, site: EncodedValue, direct: tuple[Layer, Array] | None, *, natural: bool, read: bool
    ) -> None:
        """Add a population of the chip, and its rate where the host reads it."""
        unit, order = site.unit.ravel(), None
        shape = _features(site.unit.shape)
        if direct is None:
            value = self._use(site.value)
            depth = self._depths[value] + 1
            start, source = np.zeros(len(unit)), value
        else:
            layer, places = direct
            # Neurons stand as in the layer's output, or as the next layer takes them.
            features = places if natural else np.sort(places)
            if not natural:
                order = np.searchsorted(features, places)
                unit = unit[np.argsort(order)]
                if len(places) == prod(layer.shape):
                    shape = _features(layer.shape)
            operator = _rows(self._synapses(layer), features)
            depth = self.populations[layer.source].depth + 1
            bias = np.zeros(1) if layer.bias is None else layer.bias
            start, source = np.resize(bias, prod(layer.shape))[features], None
            self.projections.append(Projection(layer.source, site.name, operator))
        self.populations[site.name] = Differential(
            site.name,
            shape,
            depth=depth,
            rule="differential",
            unit=unit,
            start=start,
            scale=np.ones(len(unit)),
            source=source,
        )
        if read:
            self._rate(site.name, site.name, site.unit.shape, depth, order=order)

    def _sums(self, layer: Layer) -> None:
        """Add a population that sends the host what a layer's synapses bring."""
        name, size = layer.name, prod(layer.shape)
        depth = self.populations[layer.source].depth + 1
        self.populations[name] = Differential(
            name,
            _features(layer.shape),
            depth=depth,
            rule="sum",
            unit=np.ones(size),
            start=np.zeros(size),
            scale=np.ones(size),
        )
        self.projections.append(Projection(layer.source, name, self._synapses(layer)))
        bias = None if layer.bias is None else np.resize(layer.bias, size)
        self._rate(name, name, layer.shape, depth, bias=bias)

    def _synapses(self, layer: Layer) -> TokenLinear:
        """Return a layer's weights in what an event of its population counts."""
        population = self.populations[layer.source]
        assert isinstance(population, Differential)
        into = layer.weights.shape[1]
        tokens = prod(layer.shape) // len(layer.weights)
        unit = population.unit.reshape(tokens, into)
        if (unit != unit[0]).any():
            raise HardwareCompatibilityError(t("hardware.levels_of_tokens", layer=layer.name))
        return TokenLinear(layer.weights * unit[0], tokens)

    def _rate(
        self,
        value: str,
        population: str,
        shape: tuple[int, ...],
        depth: int,
        *,
        order: Array | None = None,
        bias: Array | None = None,
    ) -> None:
        if order is not None and (order == np.arange(len(order))).all():
            order = None
        settings: dict[str, Any] = {}
        for key, array in (("order", order), ("bias", bias)):
            if array is not None:
                settings[key] = f"{value}:{key}"
                self.constants[settings[key]] = array
        path = _module(value)
        self._add(HostOperation(value, RATE, (population,), settings, tuple(shape), path, depth))

    def _host_neurons(self, site: EncodedValue) -> None:
        """Let the host encode what it takes itself."""
        value, unit = self._use(site.value), f"{site.name}:unit"
        # One number where all are the same, as of the probabilities of attention.
        same = (site.unit == site.unit.flat[0]).all()
        self.constants[unit] = site.unit.ravel()[:1] if same else site.unit
        arguments = ({"value": value}, {"value": unit})
        # What neurons encode may stand still, their events do not.
        depth = max(0, self._depths[value])
        self._depths[unit] = STATIC
        path = _module(site.name)
        self._add(HostOperation(site.name, ENCODE, arguments, {}, site.unit.shape, path, depth))

    def _function(self, function: HostOperation) -> None:
        depths = [self._depths[self._use(name)] for name in function.values]
        self._add(replace(function, depth=max(depths, default=STATIC)))

    def _add(self, function: HostOperation) -> None:
        self.functions.append(function)
        self._depths[function.name] = function.depth

    def _use(self, value: str) -> str:
        """Note that a value is taken, which may be a constant; return its name."""
        if value in self.tape.constants:
            self.constants[value] = self.tape.constants[value]
            self._depths[value] = STATIC
        return value


def _module(name: str) -> str:
    """Return the path of the module whose site or layer has a name."""
    return name.partition(":")[0].removesuffix(".output")


def _features(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of one sample's activation without the axis of the samples."""
    return tuple(shape[1:]) if shape[0] == 1 and len(shape) > 1 else tuple(shape)


def _rows(operator: TokenLinear, features: Array) -> Operator:
    """Return an operator with some of its outputs, in this order."""
    if len(features) == operator.shape[0] and (features == np.arange(len(features))).all():
        return operator
    out = len(operator.weights)
    if len(features) % operator.tokens == 0:
        table = features.reshape(operator.tokens, -1)
        channels = table[0]
        if (table == channels + out * np.arange(operator.tokens)[:, None]).all():
            return replace(operator, weights=operator.weights[channels])
    return Sparse(sparse.csr_array(operator.matrix()[features]))
