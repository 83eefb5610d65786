"""The PyNN description of a spike graph, the same for NEST and for sPyNNaker.

Ticks are PyNN's time stamps in ms. What a source or a neuron fires at tick s reaches a neuron at
tick s + delay. A population of depth d works on a sample that begins at tick b in the ticks from
b + d on, as in `SpikeGraph`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikeformer.hardware.targets.exchange import Array, unpack_sparse

MEMORYLESS_TAU = 1e-3
"""Time constant in ms whose decay over 1 ms, exp(-1000), is zero in float64 and in fixed point."""
BIAS = "bias"
"""Name of the source with one neuron for each population that has a bias."""


@dataclass
class Network:
    """The populations of a network in a PyNN simulator, by PyNN's own means.

    Attributes:
        sim: The simulator: `pyNN.nest` or `pyNN.spiNNaker`.
        populations: PyNN populations by name, sources among them.
        arrays: The job's arrays.
        settings: The job's settings.
    """

    sim: Any
    arrays: dict[str, Array]
    settings: dict[str, Any]
    populations: dict[str, Any] = field(default_factory=dict)

    def neurons(self) -> Iterator[tuple[dict[str, Any], Any]]:
        """Yield the settings and the PyNN population of all neurons."""
        for population in self.settings["neurons"]:
            yield population, self.populations[population["name"]]

    def run_sample(self, sample: int, *, switch_off: bool) -> None:
        """Run a sample from its first input to its last spike.

        Args:
            sample: Number of the sample.
            switch_off: Whether its currents end with its window. If not, neurons fire on, but
                after every window in which that could be seen.
        """
        done = 0
        for tick, name, on in self._switches():
            if on or switch_off:
                done = self._run_until(tick, done)
                current = self.arrays[f"currents/{name}"][sample] if on else 0.0
                self.set_current(self.populations[name], current)
        self._run_until(self.settings["latency"], done)

    def options(self, neurons: dict[str, Any]) -> dict[str, Any]:
        """Return arguments that the simulator's populations take beyond PyNN's."""
        return {}

    def connector(self, synapses: Array) -> Any:
        """Return what connects rows of sender, receiver, weight and delay."""
        return self.sim.FromListConnector(synapses, column_names=("weight", "delay"))

    def record(self, population: Any) -> None:
        """Record the spikes of a population."""
        population.record("spikes")

    def set_current(self, population: Any, current: Array | float) -> None:
        """Set the constant currents of a population, from now on."""
        population.set(i_offset=current)

    def _run_until(self, tick: int, done: int) -> int:
        if tick > done:
            self.sim.run(float(tick - done))
        return tick

    def _switches(self) -> list[tuple[int, str, bool]]:
        """Return ticks of a sample at which currents go on and off, in order."""
        driven, timesteps = self.settings["driven"], self.settings["timesteps"]
        on = [(population["depth"], population["name"], True) for population in driven]
        off = [
            (population["depth"] + timesteps, population["name"], False) for population in driven
        ]
        return sorted(on + off)

    def window(self, depth: int, begins: Array) -> Array:
        """Return the ticks at which a depth works on samples that begin at given ticks."""
        steps = np.arange(self.settings["timesteps"]) + depth
        return (np.asarray(begins)[:, None] + steps).ravel()

    def spike_times(self, name: str, begins: Array, first: int = 0) -> list[list[float]]:
        """Return when each neuron of a source fires.

        Args:
            name: A source of spikes, or `BIAS`.
            begins: Ticks at which samples begin.
            first: The first of these samples.
        """
        if name == BIAS:
            # A bias fires one tick ahead of each tick at which its population works.
            biased = self.settings["biased"]
            return [(self.window(b["depth"] - 1, begins) * 1.0).tolist() for b in biased]
        trains = self.arrays[f"spikes/{name}"][first : first + len(begins)]
        ticks = self.window(0, begins)
        flat = trains.reshape(-1, trains.shape[2])
        return [(ticks[fired] * 1.0).tolist() for fired in flat.T.astype(bool)]


def windows(
    neuron: Array, tick: Array, neurons: dict[str, Any], begins: Array, settings: dict[str, Any]
) -> Array:
    """Return spikes in the time of a population, uint8 (samples, timesteps, size).

    Args:
        neuron: Which neuron fired each spike.
        tick: When it did.
        neurons: The population's settings.
        begins: Ticks at which samples begin, in order.
        settings: The job's settings.
    """
    spikes = np.zeros((len(begins), settings["timesteps"], neurons["size"]), np.uint8)
    own = tick - neurons["depth"]
    sample = np.searchsorted(begins, own, side="right") - 1
    step = own - begins[sample.clip(0)]
    inside = (sample >= 0) & (step < settings["timesteps"])
    spikes[sample[inside], step[inside], neuron[inside]] = 1
    return spikes


def describe(network: Network, begins: Array) -> None:
    """Create populations and projections in the simulator, set up with a time step of 1 ms.

    Args:
        network: A network without any.
        begins: Ticks at which samples begin, one after the other.
    """
    sim, settings = network.sim, network.settings
    sources = [*settings["sources"], BIAS] if settings["biased"] else settings["sources"]
    for name in sources:
        times = network.spike_times(name, begins)
        source = sim.SpikeSourceArray(spike_times=times)
        network.populations[name] = sim.Population(len(times), source, label=name)
    for neurons in settings["neurons"]:
        parameters = cell_parameters(neurons["decay"], neurons["threshold"])
        cell = sim.IF_curr_delta(**parameters)
        if neurons["current_decay"]:
            lasting = current_parameters(
                neurons["decay"], neurons["current_decay"], late=settings["late_currents"]
            )
            cell = sim.IF_curr_exp(**parameters | lasting)
        population = sim.Population(
            neurons["size"],
            cell,
            initial_values={"v": 0.0},
            label=neurons["name"],
            **network.options(neurons),
        )
        network.record(population)
        network.populations[neurons["name"]] = population
    for projection in settings["projections"]:
        # By source, then by target: sPyNNaker 7.4 counts the synapses of a core wrongly else.
        weights = unpack_sparse(projection["name"], network.arrays).tocsc().tocoo()
        ends = network.populations[projection["source"]], network.populations[projection["target"]]
        for receptor, chosen in (
            ("excitatory", weights.data > 0),
            ("inhibitory", weights.data < 0),
        ):
            if chosen.any():
                columns = (weights.col[chosen], weights.row[chosen], weights.data[chosen])
                synapses = np.column_stack([*columns, np.full(chosen.sum(), projection["delay"])])
                sim.Projection(
                    *ends,
                    network.connector(synapses),
                    sim.StaticSynapse(),
                    receptor_type=receptor,
                )


def cell_parameters(decay: float, threshold: float) -> dict[str, float]:
    """Return the parameters with which `IF_curr_delta` is `v = decay v + I`.

    PyNN states a leaky cell in time constant and capacitance, both in units of 1 ms here:
    `v = exp(-1/tau) v + tau/cm (1 - exp(-1/tau)) I`.
    """
    tau = MEMORYLESS_TAU if decay == 0 else -1.0 / math.log(decay)
    return {
        "tau_m": tau,
        "cm": tau * (1.0 - decay),
        "v_rest": 0.0,
        "v_reset": 0.0,
        "v_thresh": threshold,
        "tau_refrac": 0.0,
        "i_offset": 0.0,
    }


def current_parameters(decay: float, current_decay: float, *, late: bool) -> dict[str, float]:
    """Return the further parameters with which `IF_curr_exp` is `i = a i + I`, `v = b v + i`.

    With tau and tau_s of decay b and current_decay a, NEST integrates the current over a step,
    which the membrane has at the next: `v = b v + (b - a) / (1/tau_s - 1/tau) / cm i`. sPyNNaker
    holds it for a step, `v = b v + tau/cm (1 - b) i`, and spreads what arrives over its decay:
    `i = a i + tau_s (1 - a) I`.

    Args:
        decay: Of the membrane.
        current_decay: Of the current, above 0.
        late: Whether it is NEST.
    """
    tau_syn = -1.0 / math.log(current_decay)
    tau = MEMORYLESS_TAU if decay == 0 else -1.0 / math.log(decay)
    capacity = tau * (1.0 - decay) * tau_syn * (1.0 - current_decay)
    if late:
        difference = 1.0 / tau_syn - 1.0 / tau
        near = abs(difference) < 1.0
        capacity = (
            decay * (-math.expm1(-difference) / difference if difference else 1.0)
            if near
            else (decay - current_decay) / difference
        )
    return {"cm": capacity, "tau_syn_E": tau_syn, "tau_syn_I": tau_syn}
