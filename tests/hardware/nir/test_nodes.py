"""Every node of a NIR file against its equation, written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeformer.hardware import import_nir
from tests.hardware.nir.files import cuba, euler, lif, nir, trains, write


@pytest.mark.parametrize("method", ["euler", "exact"])
@pytest.mark.parametrize("leak", [0.0, 0.3])
def test_currents_that_last(tmp_path, method, leak):
    """`tau_syn dI/dt = -I + w_in S` and `tau_mem dv/dt = v_leak - v + r I`, step by step."""
    thresholds = np.array([0.3, 0.4, 0.5])
    node = cuba(2e-3, 3e-3, w_in=1.5, r=2.0, leak=leak, threshold=thresholds, reset=0.1)
    network = import_nir(write(tmp_path / "a.nir", node), method=method).double()
    x = trains(12).double()
    syn, mem = (ratio if method == "euler" else 1 - np.exp(-ratio) for ratio in (1 / 2, 1 / 3))
    current, membrane, expected = np.zeros((4, 3)), np.full((4, 3), 0.1), []
    for t in range(12):
        current = current + syn * (1.5 * x[:, t].numpy() - current)
        membrane = membrane + mem * (leak - membrane + 2.0 * current)
        expected.append(membrane > thresholds)
        membrane = np.where(expected[-1], 0.1, membrane)
    assert 0.05 < np.mean(expected) < 0.95
    np.testing.assert_array_equal(network(x), np.stack(expected, axis=1))
    first, state = network.run(x[:, :5], {})
    second, _ = network.run(x[:, 5:], state)
    assert torch.equal(torch.cat([first, second], dim=1), network(x))


@pytest.mark.parametrize("soft", [False, True])
def test_what_a_spike_does_to_the_membrane(tmp_path, soft):
    neurons = lif(2e-3, threshold=0.7, leak=0.2, reset=0.0 if soft else 0.15)
    path = write(tmp_path / "a.nir", neurons)
    found = import_nir(path, reset="subtract" if soft else "zero").double()(trains(12).double())
    membrane, expected = np.full((4, 3), 0.0 if soft else 0.15), []
    for x in trains(12).numpy().swapaxes(0, 1):
        membrane = membrane + 0.5 * (0.2 - membrane + 1.4 * x / 1.4)
        expected.append(membrane > 0.7)
        membrane = np.where(expected[-1], membrane - 0.7 if soft else 0.15, membrane)
    np.testing.assert_array_equal(found, np.stack(expected, axis=1))


@pytest.mark.parametrize("dt", [1e-3, 1e-4])
def test_leaky_neurons_take_eulers_step(tmp_path, dt):
    path = write(tmp_path / "a.nir", lif(2.5 * dt, r=2.0, leak=0.1, threshold=0.7), dt=None)
    found = import_nir(path, dt=dt)(trains())
    expected = euler(trains(), 1 - 1 / 2.5, 2.0 / 2.5, 0.1 / 2.5, 0.7)
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(found, expected)


def test_neurons_fire_above_their_threshold_not_at_it(tmp_path):
    ones = np.ones(3)
    neurons = nir.IF(r=ones * 1e3, v_threshold=np.array([1.0, 2.0, 0.5]), v_reset=ones * 0)
    found = import_nir(write(tmp_path / "a.nir", neurons))(torch.ones(1, 6, 3))
    expected = euler(np.ones((1, 6, 3)), 1.0, 1.0, 0.0, np.array([1.0, 2.0, 0.5]))
    np.testing.assert_array_equal(found, expected)
    assert found[0].sum(0).tolist() == [3, 2, 6]


def test_membranes_integrals_and_delays(tmp_path):
    x, ones = trains(size=3), np.ones(3)
    leaky = nir.LI(tau=ones * 4e-3, r=ones * 2, v_leak=ones * 0.5)
    found = import_nir(write(tmp_path / "a.nir", leaky))(x)
    np.testing.assert_allclose(found, euler(x, 0.75, 0.5, 0.125), atol=1e-6)
    found = import_nir(write(tmp_path / "b.nir", nir.I(r=ones * 1e3)))(x)
    np.testing.assert_allclose(found, x.cumsum(1), atol=1e-5)
    cuba_leaky = nir.CubaLI(
        tau_syn=2e-3 * ones, tau_mem=4e-3 * ones, r=ones * 2, v_leak=ones * 0.5, w_in=ones * 3
    )
    found = import_nir(write(tmp_path / "d.nir", cuba_leaky))(x)
    current = euler(x, 0.5, 1.5, 0.0)
    np.testing.assert_allclose(found, euler(current, 0.75, 0.5, 0.125), atol=1e-6)
    delays = nir.Delay(delay=np.array([0.0, 2e-3, 9e-3]))
    found = import_nir(write(tmp_path / "c.nir", delays))(x)
    np.testing.assert_array_equal(found[:, :, 0], x[:, :, 0])
    np.testing.assert_array_equal(found[:, 2:, 1], x[:, :-2, 1])
    assert not found[:, :2, 1].any()
    assert not found[:, :, 2].any()


@pytest.mark.parametrize(("pool", "factor"), [(nir.SumPool2d, 4.0), (nir.AvgPool2d, 1.0)])
def test_convolutions_pools_and_the_rest(tmp_path, pool, factor):
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(4, 2, 3, 3)), rng.normal(size=4)
    nodes = [
        nir.Conv2d((6, 6), weight, np.array([1, 1]), np.array([1, 1]), np.array([1, 1]), 1, bias),
        pool(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        nir.Flatten({"input": np.array([4, 3, 3])}, 0, -1),
        nir.Scale(rng.normal(size=36)),
        nir.Threshold(np.full(36, 0.3)),
        nir.Affine(rng.normal(size=(2, 36)), rng.normal(size=2)),
    ]
    x = torch.randn(3, 4, 2, 6, 6, dtype=torch.float64)
    found = import_nir(write(tmp_path / "a.nir", *nodes, outputs=2)).double()(x)
    frames = torch.nn.functional.conv2d(
        x.flatten(0, 1), torch.from_numpy(weight), torch.from_numpy(bias), padding=1
    )
    flat = torch.nn.functional.avg_pool2d(frames, 2).flatten(1).numpy() * factor
    bits = (flat * nodes[3].scale > 0.3).astype(float)
    assert 0 < bits.mean() < 1
    expected = bits @ nodes[5].weight.T + nodes[5].bias
    np.testing.assert_allclose(found.flatten(0, 1).detach(), expected, atol=1e-6)
