"""A converted network executed the slow way, literally: one timestep after the other, and nothing
but events enters a product. What a receiver adds up is its own state.

    linear       y_t = y_{t-1} + W s_t / t,  y_0 = b
    product      P_t = P_{t-1} + (a_t B_{t-1} + A_{t-1} b_t) / t + a_t b_t / t²,  A += a_t / t
    neuron       m += d_t + x_{t-1} - r_{t-1},  d_t = t (x_t - x_{t-1});  m -= s;  r += s / t
"""

from __future__ import annotations

import torch

from spikeformer.conversion.tracing.interception import intercept
from spikeformer.instrument import Trail


class EventDriven:
    """Runs a `SpikingModel` with differential coding event by event."""

    def __init__(self, spiking):
        self.spiking = spiking
        self.trail = Trail(spiking.original)
        self.thresholds = spiking.thresholds.by_site()
        self.membranes, self.inputs, self.rates = {}, {}, {}
        self.sums, self.registers = {}, {}
        self.events = []
        self.step = 0

    @torch.no_grad()
    def run(self, timesteps, *args, **kwargs):
        outputs = []
        for self.step in range(1, timesteps + 1):
            self.written = {}
            with self.trail, intercept(self):
                outputs.append(self.spiking.original(*args, **kwargs))
        return outputs

    def affine(self, product):
        function, x, apply = product.function, product.x, product.apply
        name, turn = self.trail.next_operation(function)
        site = self.spiking.plan.operations[name].sites["input"]
        if site is None:
            return apply(x)
        events = self.fire(site, turn, x)
        bias = apply(torch.zeros_like(events))
        before = self.sums.get((name, turn), bias)
        after = self.sums[name, turn] = before + (apply(events) - bias) / self.step
        return after

    def bilinear(self, product):
        function, operands, apply = product
        name, turn = self.trail.next_operation(function)
        sites = self.spiking.plan.operations[name].sites
        a, b = (self.fire(sites[role], turn, x) for role, (x, _) in operands.items())
        zeros = torch.zeros_like(a), torch.zeros_like(b)
        sum_a, sum_b = self.registers.get((name, turn), zeros)
        change = (apply(a, sum_b) + apply(sum_a, b)) / self.step + apply(a, b) / self.step**2
        total = self.sums[name, turn] = self.sums.get((name, turn), 0) + change
        self.registers[name, turn] = sum_a + a / self.step, sum_b + b / self.step
        return total

    def other(self, function, args, kwargs):
        return function(*args, **kwargs)

    def fire(self, site, turn, x):
        site = self.spiking.plan.sites[site].source
        key, t = (site, turn), self.step
        if key in self.written:
            return self.written[key]
        zeros = torch.zeros_like(x)
        before, rate = self.inputs.get(key, zeros), self.rates.get(key, zeros)
        message = t * x - t * before
        kept = (1.0 - self.spiking.coding.leak) * self.membranes.get(key, zeros)
        membrane = kept + message + before - rate
        spikes = self.level(membrane, self.thresholds[site])
        self.membranes[key] = membrane - spikes
        self.inputs[key], self.rates[key] = x, rate + spikes / t
        self.written[key] = spikes
        self.events.append((site, spikes, self.thresholds[site]))
        return spikes

    def level(self, membrane, theta):
        spikes, done = torch.zeros_like(membrane), torch.zeros_like(membrane, dtype=torch.bool)
        for i in range(self.spiking.coding.levels):
            size = (theta / 2**i).expand_as(membrane)
            fires = (membrane.abs() >= 0.75 * size) & ~done
            spikes = torch.where(fires, size * membrane.sign(), spikes)
            done |= fires
        return spikes
