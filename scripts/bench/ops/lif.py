"""`lif`: the leaky integrate-and-fire scan over time."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.neurons import SLOPE, lif_arguments, spikingjelly_node
from bench.registry import Benchmark, Case, Contender, Tensors, Work
from bench.steps import work

TIME_FIRST = (1, 0, 2, 3)


def inputs(case: Case) -> Tensors:
    shape = [case.options[axis] for axis in ("batch", "timesteps", "tokens", "features")]
    generator = torch.Generator().manual_seed(0)
    tensors = {"current": 0.5 + torch.randn(shape, generator=generator)}
    if case.train:
        tensors["upstream"] = torch.randn(shape, generator=generator)
    return {name: tensor.to(case.torch_dtype) for name, tensor in tensors.items()}


def spikeformer(backend: str, *, compiled: bool = False):
    def build(case: Case, inputs: Tensors) -> Work:
        from spikeformer.ops import lif

        def forward(current: Tensor) -> Tensor:
            return lif(current, with_state=False, backend=backend, **lif_arguments(case))[0]

        return work(case, torch.compile(forward) if compiled else forward, inputs)

    return build


def spikingjelly(*, compiled: bool = False):
    def build(case: Case, inputs: Tensors) -> Work:
        node = spikingjelly_node(case)
        if compiled:
            node.compile()

        def forward(current: Tensor) -> Tensor:
            node.reset()
            return node(current)

        return work(case, forward, inputs, axes=TIME_FIRST)

    return build


def snntorch(case: Case, inputs: Tensors) -> Work:
    from snntorch import Leaky, surrogate

    neuron = Leaky(
        beta=0.5,
        threshold=1.0,
        spike_grad=surrogate.sigmoid(slope=SLOPE),
        reset_mechanism="zero",
        reset_delay=False,
    ).to(case.device)

    def forward(current: Tensor) -> Tensor:
        membrane = torch.zeros_like(current[0])
        spikes = []
        for current_t in current:
            spikes_t, membrane = neuron(current_t, membrane)
            spikes.append(spikes_t)
        return torch.stack(spikes)

    return work(case, forward, inputs, axes=TIME_FIRST)


def norse(case: Case, inputs: Tensors) -> Work:
    from norse.torch import LIFBoxCell, LIFBoxParameters, Lift

    def number(value: float) -> Tensor:
        return torch.tensor(value, device=case.device)

    # dt / tau = 1/2 scales the input too. Doubling it beforehand undoes that, as the weights of a
    # layer before would; its gradient is then half of the current's.
    parameters = LIFBoxParameters(
        tau_mem_inv=number(500.0),
        v_leak=number(0.0),
        v_th=number(1.0),
        v_reset=number(0.0),
        method="tanh",
        alpha=SLOPE / 2,
    )
    neurons = Lift(LIFBoxCell(parameters, dt=0.001))
    doubled = {**inputs, "current": 2.0 * inputs["current"]}
    step, outputs = work(case, lambda current: neurons(current)[0], doubled, axes=TIME_FIRST)

    def undoubled(result: Tensors) -> Tensors:
        tensors = outputs(result)
        if case.train:
            tensors["grad_current"] = 2.0 * tensors["grad_current"]
        return tensors

    return Work(step, undoubled)


def _attached_reset_only(case: Case) -> str:
    detached = case.train and case.options["detach_reset"]
    return "its reset lets gradients through, without a switch for that" if detached else ""


def _case(timesteps: int, batch: int = 8, *, detach_reset: bool = False, **kind) -> Case:
    return Case(
        f"T={timesteps}, B={batch}, N=196, D=384" + (", detached reset" if detach_reset else ""),
        {
            "timesteps": timesteps,
            "batch": batch,
            "tokens": 196,
            "features": 384,
            "detach_reset": detach_reset,
        },
        **kind,
    )


BENCHMARK = Benchmark(
    title="lif",
    description="""The scan `v = v / 2 + x`, spike where `v >= 1`, hard reset to 0, from a state of
zeros, with the surrogate `sigmoid` of slope 4. Compared: spikes and the gradient of the current.

- SpikingJelly: `LIFNode(tau=2.0, decay_input=False, v_reset=0.0, step_mode="m")` with
  `Sigmoid(alpha=4.0)`; state reset before each call; compiled with its `.compile()`.
- snnTorch: `Leaky(beta=0.5, reset_mechanism="zero", reset_delay=False)` with `sigmoid(slope=4)`,
  called for every timestep.
- Norse: `Lift(LIFBoxCell)` with dt / tau = 1/2 and the surrogate `tanh`, alpha = 2, which is the
  same function. It scales the input by dt / tau, so it gets the current doubled.

Baselines get their input in their own layout, time first; converting it is not measured. Nobody
asks for the state after the last timestep (`with_state=False`; compiled functions drop it too).

SpikeFormer's backward pass walks forward again instead of storing membranes: five tensors are read
or written in all. One, two and four timesteps are written out in its code, so that what one hands
to the next stays in registers. The derivative of `sigmoid` takes polynomials and a step of
Newton's, to 1e-5 of its value, and no division; it is most of what the pass computes.""",
    cases=(
        _case(16),
        _case(4),
        _case(32),
        _case(4, detach_reset=True),
        _case(16, train=False),
        _case(16, 64, device="cuda"),
        _case(16, 64, device="cuda", dtype="bfloat16", tolerance=2e-2),
    ),
    contenders=(
        Contender("SpikeFormer", spikeformer("auto")),
        Contender("SpikeFormer reference", spikeformer("reference")),
        Contender("SpikeFormer reference, compiled", spikeformer("reference", compiled=True)),
        Contender("SpikingJelly", spikingjelly(), "spikingjelly"),
        Contender("SpikingJelly, compiled", spikingjelly(compiled=True), "spikingjelly"),
        Contender("snnTorch", snntorch, "snntorch", _attached_reset_only),
        Contender("Norse", norse, "norse", _attached_reset_only),
    ),
    inputs=inputs,
)
