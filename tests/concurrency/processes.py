"""Forks the processes of test_parallel_trainer's scenarios and saves what each saw."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from functools import partial

import torch
from torch import nn

from spikeformer.concurrency import ParallelSpikingTrainer
from spikeformer.error_handling import SpikeformerError
from spikeformer.models import ClassificationHead, SpikingNetwork, SpikingTransformer, SpikingViT
from spikeformer.neurons import LifNeuron, ParametricLifNeuron

# In float64: a spike that rounding flips would move every gradient behind it.
# What each process gets of the joined batch; the second number of processes has uneven shares.
SHARES = {2: (4, 4), 3: (1, 5, 2)}
STEPS = 2


def classifier(backbone):
    """Without dropout, in which processes differ."""
    network = SpikingNetwork(backbone, ClassificationHead(16, 3)).double()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return network


def spiking_vit():
    """Every kind of norm that sees frames or tokens, with learned leaks."""
    torch.manual_seed(0)
    neuron = partial(
        ParametricLifNeuron, tau_mem=2.0, surrogate_type="sigmoid", backend="reference"
    )
    backbone = SpikingViT(
        1, 8, d_model=16, nhead=2, num_layers=1, timesteps=2, stem_strides=[1, 2], neuron=neuron
    )
    return classifier(backbone)


def masked_transformer():
    """Norms that leave padding out, of which processes have different amounts."""
    torch.manual_seed(0)
    neuron = partial(LifNeuron, tau_mem=2.0, surrogate_type="sigmoid", backend="reference")
    backbone = SpikingTransformer(
        20, d_model=16, nhead=2, num_layers=1, timesteps=2, dropout=0.0, neuron=neuron
    )
    return classifier(backbone)


def torch_batch_norm():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 3)
    ).double()


NETWORKS = {
    "vit": spiking_vit,
    "masked": masked_transformer,
    "torch": torch_batch_norm,
    "sum": spiking_vit,
}


def joined_batch(name, step):
    generator = torch.Generator().manual_seed(step)
    labels = torch.randint(3, (8,), generator=generator)
    if name != "masked":
        return torch.rand(8, 1, 8, 8, generator=generator, dtype=torch.float64), labels
    lengths = torch.randint(2, 7, (8, 1), generator=generator)
    ids = torch.randint(20, (8, 6), generator=generator)
    return {"input_ids": ids, "mask": torch.arange(6) < lengths}, labels


def part(inputs, start, stop):
    if isinstance(inputs, dict):
        return {key: value[start:stop] for key, value in inputs.items()}
    return inputs[start:stop]


def criterion_of(name):
    return nn.CrossEntropyLoss(reduction="sum" if name == "sum" else "mean")


def snapshot(model):
    return {
        "gradients": {name: p.grad.clone() for name, p in model.named_parameters()},
        "state": {name: x.clone() for name, x in model.state_dict().items()},
    }


def train(rank, world_size, folder):
    """Train each network for a few steps."""
    shares = SHARES[world_size]
    start = sum(shares[:rank])
    results = {}
    for name, make in NETWORKS.items():
        model = make()
        if rank:  # process 0 decides
            nn.init.zeros_(next(model.parameters()))
        trainer = ParallelSpikingTrainer(model, backend="gloo", timeout=60)
        with trainer:
            meeting = f"file://{folder}/meeting-{name}"
            trainer.setup_distributed(rank, world_size, init_method=meeting)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            steps = []
            for step in range(STEPS):
                inputs, labels = joined_batch(name, step)
                mine = slice(start, start + shares[rank])
                metrics = trainer.train_step_parallel(
                    part(inputs, mine.start, mine.stop), labels[mine], optimizer, criterion_of(name)
                )
                steps.append({**snapshot(model), "metrics": metrics})
        results[name] = steps
    torch.save(results, folder / f"rank{rank}.pt")


def trouble(rank, world_size, folder, *, kind):
    """Let process 1 fail in the second step; the others have to notice."""
    model = torch_batch_norm()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    start = time.monotonic()
    message = "no error"
    inputs, labels = joined_batch("torch", 0)
    try:
        with ParallelSpikingTrainer(model, backend="gloo", timeout=3) as trainer:
            trainer.setup_distributed(rank, world_size, init_method=f"file://{folder}/meeting")
            trainer.train_step_parallel(inputs, labels, optimizer, nn.CrossEntropyLoss())
            start = time.monotonic()
            if rank == 1 and kind == "dead":
                os.kill(os.getpid(), signal.SIGKILL)
            if rank == 1 and kind == "hang":
                time.sleep(6)
            if rank == 1 and kind == "empty":
                inputs, labels = inputs[:0], labels[:0]
            if rank == 1 and kind == "nan":
                inputs = inputs * float("nan")
            trainer.train_step_parallel(inputs, labels, optimizer, nn.CrossEntropyLoss())
    except SpikeformerError as error:
        message = f"{type(error).__name__}: {error}"
    torch.save({"message": message, "seconds": time.monotonic() - start}, folder / f"rank{rank}.pt")


def late(rank, world_size, folder):
    """Process 1 never comes."""
    if rank == 1:
        return
    message = "no error"
    try:
        trainer = ParallelSpikingTrainer(torch_batch_norm(), backend="gloo", timeout=2)
        trainer.setup_distributed(rank, world_size, init_method=f"file://{folder}/meeting")
    except SpikeformerError as error:
        message = f"{type(error).__name__}: {error}"
    torch.save({"message": message, "seconds": 0.0}, folder / f"rank{rank}.pt")


SCENARIOS = {
    "train": train,
    "late": late,
    **{kind: partial(trouble, kind=kind) for kind in ("dead", "hang", "empty", "nan")},
}


def run_all(root, *scenarios):
    """Run scenarios, each named with its number of processes, in folders below `root`."""
    fork = multiprocessing.get_context("fork")
    started = []
    for argument in scenarios:
        scenario, count = argument.split(":")
        folder = root / argument.replace(":", "-")
        folder.mkdir()
        for rank in range(int(count)):
            work = SCENARIOS[scenario]
            started.append(fork.Process(target=work, args=(rank, int(count), folder)))
            started[-1].start()
    for process in started:
        process.join()
    # One was killed on purpose.
    assert all(process.exitcode in (0, -signal.SIGKILL) for process in started)
