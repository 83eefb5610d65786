"""`spike_encode`: values to spike trains; the random code is compared by its rates."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bench.registry import Benchmark, Case, Contender, Tensors, Work
from bench.steps import work

_LEVELS = 16


def inputs(case: Case) -> Tensors:
    """Values in which each of 16 levels fills one stretch of every sample."""
    width = case.options["features"] // _LEVELS
    sample = torch.linspace(0.0, 1.0, _LEVELS).repeat_interleave(width)
    return {"x": sample.repeat(case.options["batch"], 1).to(case.torch_dtype)}


def encoder(case: Case, forward: Callable[[Tensor], Tensor], inputs: Tensors, batch: int) -> Work:
    """Wrap an encoder whose spikes have the batch at axis `batch` and time at the other."""
    step, _ = work(case, forward, inputs)

    def rates(result: Tensors) -> Tensors:
        spikes = result["output"].float()
        if case.options["code"] != "poisson":
            return {"spikes": spikes.transpose(0, batch)}
        return {"rates": spikes.unflatten(2, (_LEVELS, -1)).mean(dim=(0, 1, 3))}

    return Work(step, rates)


def spikeformer(backend: str):
    def build(case: Case, inputs: Tensors) -> Work:
        from spikeformer.ops.spike_encode import spike_encode

        code, timesteps = case.options["code"], case.options["timesteps"]

        def forward(x: Tensor) -> Tensor:
            return spike_encode(x, timesteps, code=code, backend=backend)

        return encoder(case, forward, inputs, batch=0)

    return build


def torch_rand(case: Case, inputs: Tensors) -> Work:
    timesteps = case.options["timesteps"]

    def forward(x: Tensor) -> Tensor:
        uniform = torch.rand(x.shape[0], timesteps, x.shape[1], device=x.device, dtype=x.dtype)
        return (uniform < x.unsqueeze(1)).to(x.dtype)

    return encoder(case, forward, inputs, batch=0)


def spikingjelly(case: Case, inputs: Tensors) -> Work:
    from spikingjelly.activation_based.encoding import PoissonEncoder

    encode = PoissonEncoder(step_mode="m")
    timesteps = case.options["timesteps"]
    return encoder(case, lambda x: encode(x.expand(timesteps, *x.shape)), inputs, batch=1)


def snntorch(case: Case, inputs: Tensors) -> Work:
    from snntorch import spikegen

    timesteps = case.options["timesteps"]
    return encoder(case, lambda x: spikegen.rate(x, num_steps=timesteps), inputs, batch=1)


def _poisson_only(case: Case) -> str:
    other = case.options["code"] != "poisson"
    return "its code of this name, if it has one, is defined otherwise" if other else ""


def _case(code: str, **kind) -> Case:
    return Case(
        f"{code}, T=16, B=64, 3072 values",
        {"code": code, "timesteps": 16, "batch": 64, "features": 3072},
        train=False,
        tolerance=2e-2 if code == "poisson" else 1e-3,
        **kind,
    )


BENCHMARK = Benchmark(
    title="spike_encode",
    description="""64 images of 3x32x32 to spikes. Compared: the spikes of the codes `rate` and
`latency`; of `poisson`, whose random numbers differ, the firing rates of 16 values, each over
196,608 draws and within 2%.

- torch.rand: `torch.rand(...) < x`, cast to spikes.
- SpikingJelly: `PoissonEncoder(step_mode="m")`.
- snnTorch: `spikegen.rate(x, num_steps=16)`.""",
    cases=(
        _case("poisson"),
        _case("rate"),
        _case("latency"),
        _case("poisson", device="cuda"),
    ),
    contenders=(
        Contender("SpikeFormer", spikeformer("auto")),
        Contender("SpikeFormer reference", spikeformer("reference")),
        Contender("torch.rand", torch_rand, obstacle=_poisson_only),
        Contender("SpikingJelly", spikingjelly, "spikingjelly", _poisson_only),
        Contender("snnTorch", snntorch, "snntorch", _poisson_only),
    ),
    inputs=inputs,
)
