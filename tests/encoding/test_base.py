from __future__ import annotations

import math

import pytest
import torch

from spikeformer.encoding import (
    ENCODERS,
    DeltaCoding,
    DirectCoding,
    EventCoding,
    FrameCoding,
    LatencyCoding,
    PoissonCoding,
    RateCoding,
    SpikeEncoder,
)
from spikeformer.error_handling import (
    ArgumentError,
    BackendUnavailableError,
    SpikingDynamicsError,
)
from spikeformer.ops import BACKENDS
from tests.ops.devices import device_of

OF_VALUES = {name: kind for name, kind in ENCODERS.items() if not kind.temporal}
encoders = pytest.mark.parametrize("kind", OF_VALUES.values(), ids=OF_VALUES)
bounded = pytest.mark.parametrize("kind", [RateCoding, PoissonCoding, LatencyCoding, DeltaCoding])


def test_registry():
    assert {
        "direct": DirectCoding,
        "rate": RateCoding,
        "poisson": PoissonCoding,
        "latency": LatencyCoding,
        "delta": DeltaCoding,
        "events": EventCoding,
        "frames": FrameCoding,
    } == ENCODERS


@encoders
@pytest.mark.parametrize("shape", [(1,), (0, 3), (5,), (2, 1), (2, 3, 0), (1, 3, 7, 5)])
@pytest.mark.parametrize("timesteps", [1, 5])
def test_shapes(kind, shape, timesteps):
    assert kind(timesteps).encode(torch.rand(shape)).shape == (shape[0], timesteps, *shape[1:])


@encoders
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_dtype_is_kept(kind, dtype):
    x = torch.tensor([0.0, 0.25, 1.0], dtype=dtype)
    spikes = kind(4, **({"max_rate": 1000.0} if kind is PoissonCoding else {})).encode(x)
    assert spikes.dtype == dtype
    assert spikes[0].sum() == 0
    assert spikes[2].sum() > 0


@encoders
def test_calling_is_encoding(kind):
    encoder, x = kind(4), torch.tensor([[0.0, 1.0]])
    assert isinstance(encoder, SpikeEncoder)
    torch.manual_seed(1)
    expected = encoder.encode(x)
    torch.manual_seed(1)
    assert torch.equal(encoder(x), expected)


@encoders
def test_what_is_no_floating_point_tensor_is_refused(kind):
    for x in (torch.tensor([0, 1]), torch.tensor(0.5)):
        with pytest.raises(SpikingDynamicsError, match="floating-point"):
            kind().encode(x)


@encoders
@pytest.mark.parametrize("clamp", [False, True])
def test_nan_is_refused(kind, clamp):
    with pytest.raises(SpikingDynamicsError, match="nan"):
        kind(clamp=clamp).encode(torch.tensor([0.5, math.nan]))


@bounded
@pytest.mark.parametrize("excess", [0.01, 5.0, math.inf])
def test_values_out_of_range_are_an_error_or_clamped(kind, excess):
    low, high = kind.valid_range
    x = torch.tensor([low - excess, high + excess])
    with pytest.raises(SpikingDynamicsError, match=rf"from {low} to {high}.*clamp=True"):
        kind(6).encode(x)
    torch.manual_seed(1)
    expected = kind(6).encode(torch.tensor([low, high]))
    torch.manual_seed(1)
    assert torch.equal(kind(6, clamp=True).encode(x), expected)


def test_direct_coding_takes_any_finite_value():
    x = torch.tensor([[-3.0, 7.0]])
    assert torch.equal(DirectCoding(2).encode(x)[0], x.repeat(2, 1))


@encoders
@pytest.mark.parametrize("timesteps", [0, -1, 2.0])
def test_bad_timesteps(kind, timesteps):
    with pytest.raises(ArgumentError, match="`timesteps`"):
        kind(timesteps)


@encoders
def test_a_printed_encoder_tells_its_settings(kind):
    assert "timesteps=7" in repr(kind(7))


@encoders
def test_every_backend_gives_the_same_spikes(kind):
    x, spikes = torch.rand(2, 3, 5), []
    seed = {"seed": 1} if kind is PoissonCoding else {}
    for backend in BACKENDS:
        encoder = kind(5, backend=backend, **seed).to(device_of(backend))
        spikes.append(encoder.encode(x.to(device_of(backend))).cpu())
    assert all(torch.equal(other, spikes[0]) for other in spikes[1:])


@encoders
def test_unknown_backends_are_refused(kind):
    with pytest.raises(ArgumentError, match="`backend`"):
        kind(backend="cuda")


@bounded
def test_a_backend_that_cannot_run_is_an_error(kind):
    with pytest.raises(BackendUnavailableError, match="float64"):
        kind(4, backend="cpu").encode(torch.rand(2, 3, dtype=torch.float64))


@encoders
def test_encoders_compile_without_graph_breaks(kind):
    x, encoder = torch.rand(2, 3), kind(5)
    torch.manual_seed(1)
    expected = encoder(x)
    torch.manual_seed(1)
    assert torch.equal(torch.compile(encoder, fullgraph=True, backend="aot_eager")(x), expected)
