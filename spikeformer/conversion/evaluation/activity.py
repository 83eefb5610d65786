"""Counts what a converted network does: events, the products they cause, memory they touch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from spikeformer.conversion.coding.coding import Coding
from spikeformer.conversion.coding.neuron import Fired, num_neurons
from spikeformer.conversion.tracing.plan import ConversionPlan, Operation
from spikeformer.profiling import (
    LayerCounts,
    OperationCounts,
    dense_layer,
    event_layer,
    neuron_layer,
)


@dataclass
class _Product:
    """What is known of a product after some samples; numbers are those of one timestep."""

    operation: Operation
    dense: float = 0.0
    sizes: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    outputs: float = 0.0
    weights: int = 0

    @property
    def kind(self) -> str:
        """What `spikeformer.profiling` calls it."""
        if self.operation.function.startswith("conv"):
            return "conv"
        if self.operation.function in ("linear", "addmm") or self.weights:
            return "linear"
        return "attention" if len(self.operation.sites) > 1 else "matmul"


class Activity:
    """Adds up what a converted network does; a recorder for `SpikingModel.recording`.

    Args:
        plan: The network's plan.
        coding: Its coding.

    Attributes:
        samples: Samples seen; whoever calls the network adds them.
        evaluations: Values that LayerNorm, softmax, GELU and the like were computed for, over
            all samples and timesteps. They stay in floating point and are not part of the energy.

    Example:
        >>> snn = SpikeformerConverter(timesteps=4).convert(torch.nn.Linear(8, 2).eval())
        >>> activity = Activity(snn.plan, snn.coding)
        >>> with snn.recording(activity):
        ...     _ = snn(torch.randn(3, 8))
    """

    def __init__(self, plan: ConversionPlan, coding: Coding) -> None:
        self.plan, self.coding, self.samples = plan, coding, 0
        self.evaluations = 0.0
        self._events: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        self._neurons: dict[str, int] = defaultdict(int)
        self._products: dict[str, _Product] = {}

    def on_fire(self, site: str, first_step: int, fired: Fired) -> None:
        """Add the events of a population."""
        for index, events in enumerate(fired.events.tolist()):
            self._events[site][first_step + index] += events
        if first_step == 1 or self.coding.encoding == "radix":
            self._neurons[site] += num_neurons(fired)

    def on_operation(
        self,
        operation: Operation,
        first_step: int,
        operands: tuple[Tensor, ...],
        parameters: tuple[Tensor | None, ...],
        result: Tensor,
    ) -> None:
        """Add a product; its size is the same at every timestep, so that the first one counts."""
        if first_step != 1 and self.coding.encoding != "radix":
            return
        product = self._products.setdefault(operation.name, _Product(operation))
        if parameters and parameters[0] is not None:
            weight = parameters[0]
            product.weights = weight.numel()
            if operation.function.startswith("conv"):
                width = weight.numel() // weight.shape[0]
                grows = operation.function.startswith("conv_transpose")
                product.dense += (operands[0] if grows else result).numel() * width
            else:
                product.dense += operands[0].numel() * result.shape[-1]
        else:
            product.dense += operands[0].numel() * result.shape[-1]
        for role, operand in zip(operation.sites, operands, strict=True):
            product.sizes[role] += operand.numel()
        product.outputs += result.numel()

    def on_evaluation(self, steps: int, result: Any) -> None:
        """Add a function that stays in floating point."""
        if isinstance(result, Tensor):
            self.evaluations += steps * result.numel()

    @property
    def timesteps(self) -> int:
        """Timesteps that were recorded."""
        return max((max(steps) for steps in self._events.values() if steps), default=0)

    def events(self, until: int | None = None) -> int:
        """Return all events up to and including a timestep; None is the last."""
        return sum(self._until(site, until) for site in self._events)

    def events_per_neuron(self, until: int | None = None) -> float:
        """Return how many events a neuron emits for one sample up to a timestep."""
        return self.events(until) / max(1, sum(self._neurons.values()))

    @property
    def sparsity(self) -> float:
        """Share of neurons and timesteps without an event."""
        return 1.0 - self.events_per_neuron() / max(1, self.timesteps)

    def rates(self) -> dict[str, float]:
        """Return the events per neuron and timestep of every site."""
        return {
            site: self._until(site, None) / max(1, self._neurons[site] * self.timesteps)
            for site in self._events
        }

    def counts(self, until: int | None = None) -> OperationCounts:
        """Return what the spiking network did up to a timestep, to be priced."""
        steps = until or self.timesteps
        layers: list[LayerCounts] = []
        for product in self._products.values():
            layers += self._product(product, steps)
        for site, neurons in self._neurons.items():
            layers.append(
                neuron_layer(
                    f"{site} neurons",
                    updates=float(neurons * steps),
                    spikes=float(self._until(site, until)),
                    neurons=neurons / max(1, self.samples),
                    steps=steps,
                    timeline=[float(self._events[site][t]) for t in range(1, steps + 1)],
                )
            )
        return OperationCounts(tuple(layers), max(1, self.samples), "spiking")

    def original_counts(self) -> OperationCounts:
        """Return what the original network does for the same samples."""
        layers = tuple(_dense(product, max(1, self.samples)) for product in self._products.values())
        return OperationCounts(layers, max(1, self.samples), "original")

    def _product(self, product: _Product, steps: int) -> list[LayerCounts]:
        name, samples = product.operation.name, max(1, self.samples)
        sites = {role: site for role, site in product.operation.sites.items() if site is not None}
        if not sites:
            return [_dense(product, samples)]
        sources = {role: self.plan.sites[site].source for role, site in sites.items()}
        fan_out = {role: product.dense / max(1.0, product.sizes[role]) for role in sites}

        def total(of: Callable[[str], float]) -> float:
            return sum(of(source) * fan_out[role] for role, source in sources.items())

        return [
            event_layer(
                name,
                product.kind,
                events=float(sum(self._until(source, steps) for source in sources.values())),
                operations=total(lambda source: float(self._until(source, steps))),
                dense=product.dense * steps,
                weights=float(product.weights),
                targets=product.outputs / samples,
                graded=self.coding.num_levels > 1 or self.coding.encoding == "radix",
                steps=steps,
                timeline=[
                    total(lambda source, t=t: float(self._events[source][t]))  # type: ignore[misc]
                    for t in range(1, steps + 1)
                ],
            )
        ]

    def _until(self, site: str, until: int | None) -> int:
        return sum(n for t, n in self._events[site].items() if until is None or t <= until)


def _dense(product: _Product, samples: int) -> LayerCounts:
    return dense_layer(
        product.operation.name,
        product.kind,
        macs=product.dense,
        inputs=float(sum(product.sizes.values())),
        outputs=product.outputs,
        weights=float(product.weights),
        samples=samples,
    )
