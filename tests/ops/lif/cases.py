"""Runs `lif` with random input and collects everything it returns, forward and backward."""

from __future__ import annotations

import torch

from spikeformer.ops import LifState, lif
from tests.ops.devices import device_of

PARAMETERS = {
    "decay": 0.9,
    "threshold": 0.8,
    "adaptation_decay": 0.7,
    "adaptation_strength": 0.2,
}


def random_current(*shape, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).mul(0.8).to(dtype)


def run_lif(current, state=None, *, backend, **options):
    """`lif` on the backend's device, from and to the CPU, gradients included."""

    def move(value, device):
        return value.to(device) if isinstance(value, torch.Tensor) else value

    device = device_of(backend)
    spikes, final = lif(
        move(current, device),
        None if state is None else LifState(*(move(part, device) for part in state)),
        backend=backend,
        **{name: move(value, device) for name, value in options.items()},
    )
    return spikes.cpu(), LifState(*(move(part, "cpu") for part in final))


def results(
    current,
    backend,
    *,
    adaptive=False,
    with_state=True,
    learnable=True,
    seed=1,
    **options,
):
    """Spikes, final state and the gradients of a random scalar of both, by name."""
    generator = torch.Generator().manual_seed(seed)

    def rand(shape):
        return torch.rand(shape, generator=generator)

    shape = current.shape[:1] + current.shape[2:]
    state_dtype = torch.promote_types(current.dtype, torch.float32)
    leaves = {"current": current.detach().requires_grad_()}
    initial, weights = [rand(shape).to(state_dtype) for _ in range(2)], [rand(shape), rand(shape)]
    weight_spikes = (rand(current.shape) - 0.5).to(current.dtype)
    names = list(PARAMETERS) if adaptive else ["decay", "threshold"]
    parameters = {name: PARAMETERS[name] for name in names}
    if learnable:
        parameters = {
            name: torch.tensor(value, dtype=state_dtype, requires_grad=True)
            for name, value in parameters.items()
        }
        leaves |= parameters
    state = None
    if with_state:
        leaves["membrane"] = initial[0].requires_grad_()
        if adaptive:
            leaves["adaptation"] = initial[1].requires_grad_()
        state = LifState(leaves["membrane"], leaves.get("adaptation"))
    spikes, final = run_lif(leaves["current"], state, backend=backend, **parameters, **options)
    scalar = (spikes * weight_spikes).to(state_dtype).sum() + (final.membrane * weights[0]).sum()
    if adaptive:
        scalar = scalar + (final.adaptation * weights[1]).sum()
    grads = torch.autograd.grad(scalar, list(leaves.values()))
    collected = {"spikes": spikes.detach(), "final membrane": final.membrane.detach()}
    if adaptive:
        collected["final adaptation"] = final.adaptation.detach()
    return collected | {f"d {name}": grad for name, grad in zip(leaves, grads, strict=True)}


def assert_equal_results(got, expected, dtype=torch.float32):
    """Forward bit for bit; gradients to the rounding of their dtype and order of summation."""
    assert got.keys() == expected.keys()
    for name, value in got.items():
        assert value.shape == expected[name].shape, name
        assert value.dtype == expected[name].dtype, name
        if not name.startswith("d "):
            assert torch.equal(value, expected[name]), name
            continue
        rtol = {torch.bfloat16: 1.6e-2, torch.float16: 2e-3}.get(value.dtype, 1e-4)
        atol = 2e-5 if dtype == torch.float32 else 1e-3
        torch.testing.assert_close(
            value, expected[name], rtol=rtol, atol=atol, msg=lambda m, n=name: f"{n}: {m}"
        )
