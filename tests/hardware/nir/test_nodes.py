"""Every node of a NIR file against its equation, written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import import_nir
from tests.hardware.nir.files import euler, lif, nir, trains, write


@pytest.mark.parametrize("dt", [1e-3, 1e-4])
def test_leaky_neurons_take_eulers_step(tmp_path, dt):
    path = write(tmp_path / "a.nir", lif(2.5 * dt, r=2.0, leak=0.1, threshold=0.7))
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


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (lif(1e-4), "do not resolve"),
        (lif(2e-3, reset=0.1), "v_reset"),
        (lif(np.array([2e-3, 3e-3, 4e-3])), "tau of its own"),
        (nir.Delay(np.full(3, 1.5e-3)), "delays by something else"),
        (nir.CubaLI(*np.full((4, 3), 2e-3)), "is a CubaLI"),
    ],
    ids=["dt", "reset", "taus", "delay", "kind"],
)
def test_what_is_not_known_is_named(tmp_path, node, message):
    with pytest.raises(HardwareCompatibilityError, match=f"'n0'.*{message}"):
        import_nir(write(tmp_path / "a.nir", node))
