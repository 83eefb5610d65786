"""Training one network in several processes, step by step."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from spikeformer.concurrency.process_group import (
    BACKENDS,
    choose_backend,
    choose_device,
    explained,
    join_group,
    leave_group,
)
from spikeformer.config import ConcurrencyConfig
from spikeformer.data.batch import Inputs, call, named_tensors, to_device
from spikeformer.error_handling import (
    ArgumentError,
    ProcessGroupError,
    SpikingDynamicsError,
    check_choice,
    check_positive,
)
from spikeformer.models import share_batch_norms


class ParallelSpikingTrainer:
    r"""Trains one network in W processes, for people who write their own training loop.

    A step computes what one process would compute on the joined batch. With `n_r` samples and mean
    loss `L_r` in process r::

        L = sum_r n_r L_r / sum_r n_r

    and every process steps by the gradient of L, so batches may be uneven. Batch norms take
    their statistics over the joined batch as well (`spikeformer.models.share_batch_norms`), and
    gradients pass through them. What is left to differ from one process is dropout, and float32
    sums in another order.

    For whole runs use `python train.py trainer=ddp`, which brings checkpoints and metrics.

    Args:
        model: Maps inputs to outputs of shape (batch, timesteps, ...) or (batch, ...). All
            processes start from the weights of process 0.
        config: Only data parallelism is done here: one with `enable_data_parallelism` off or
            `enable_model_parallelism` on is refused.
        backend: "gloo" (CPUs), "nccl" (one GPU for each process) or "auto".
        timeout: Seconds; when another process keeps this one waiting for longer, or has died, the
            step raises `ProcessGroupError`.
        share_norms: Take batch norms' statistics over all processes; False takes those of each
            process's own batch, which is faster and another function.
        find_unused_parameters: For networks in which some parameters take no part in some steps.

    Raises:
        ArgumentError: An argument is outside its range.

    Example:
        >>> def work(rank, world_size):                                         # doctest: +SKIP
        ...     with ParallelSpikingTrainer(model) as trainer:
        ...         trainer.setup_distributed(rank, world_size)
        ...         for images, labels in my_share(rank):
        ...             print(trainer.train_step_parallel(images, labels, optimizer, criterion))
        >>> torch.multiprocessing.spawn(work, args=(2,), nprocs=2)              # doctest: +SKIP
    """

    def __init__(
        self,
        model: nn.Module,
        config: ConcurrencyConfig | None = None,
        *,
        backend: str = "auto",
        timeout: float = 60.0,
        share_norms: bool = True,
        find_unused_parameters: bool = False,
    ) -> None:
        config = config or ConcurrencyConfig()
        if not config.enable_data_parallelism or config.enable_model_parallelism:
            expected, remedy = (
                "with enable_data_parallelism and without enable_model_parallelism",
                "To split a model over devices, train with `python train.py trainer=fsdp`.",
            )
            raise ArgumentError("config", config, expected, remedy)
        self.model = model
        self.backend = check_choice("backend", backend, BACKENDS)
        self.timeout = check_positive("timeout", timeout)
        self.share_norms = share_norms
        self.find_unused_parameters = find_unused_parameters
        self.rank, self.world_size = 0, 1
        self.device = torch.device("cpu")
        self._replica: nn.Module | None = None
        self._owns_group = False
        self._steps = 0

    def setup_distributed(
        self, rank: int, world_size: int, *, init_method: str | None = None
    ) -> None:
        """Join the other processes and take over the weights of process 0.

        Make the optimizer afterwards: on GPUs the model moves to its device here.

        Args:
            rank: Number of this process, from 0.
            world_size: Number of processes.
            init_method: Where they meet, `tcp://host:port` or `file:///shared/path`; None reads
                `MASTER_ADDR` and `MASTER_PORT`, as torchrun sets them, else meets on this machine.

        Raises:
            ArgumentError: The rank is outside the group, has no GPU, or is in a group already.
            ProcessGroupError: Not all processes came within `timeout`.
        """
        if self._replica is not None:
            expected, remedy = "set up once", "Call close() first."
            raise ArgumentError("rank", rank, expected, remedy)
        backend = choose_backend(self.backend)
        self.device = choose_device(backend, rank)
        self._owns_group = join_group(
            rank, world_size, backend=backend, timeout=self.timeout, init_method=init_method
        )
        self.rank, self.world_size = rank, world_size
        self.model.to(self.device)
        share_batch_norms(self.model, self.share_norms)
        try:
            with self._explained("sharing the weights"):
                self._replica = DistributedDataParallel(
                    self.model,
                    device_ids=[self.device] if self.device.type == "cuda" else None,
                    find_unused_parameters=self.find_unused_parameters,
                    gradient_as_bucket_view=True,
                )
        except BaseException:
            self._leave(wait=False)
            raise

    def train_step_parallel(
        self,
        batch_data: Inputs,
        labels: Tensor,
        optimizer: torch.optim.Optimizer,
        criterion: nn.Module,
    ) -> dict[str, float]:
        """Make one step on the batches of all processes; each of them has to call this.

        Args:
            batch_data: This process's inputs, (batch, ...), or a dict of the model's keyword
                arguments; at least one sample.
            labels: Their targets, (batch, ...).
            optimizer: Holds the model's parameters.
            criterion: The loss. A module of `torch.nn` gets outputs averaged over time, anything
                else `(outputs, labels)` as they are. Its `reduction` says mean or sum; without
                one it is a mean over samples.

        Returns:
            Of the joined batch, equal in all processes: "loss", "samples", "grad_norm", with class
            labels "accuracy"; and "seconds" of this process.

        Raises:
            ArgumentError: A process has no samples, or not as many targets as inputs; or the
                criterion does not return one number.
            SpikingDynamicsError: The loss is NaN or Inf; no process has stepped.
            ProcessGroupError: A process died or kept the others waiting for too long.
        """
        if self._replica is None:
            raise ProcessGroupError(
                "train_step_parallel was called before the process joined a group, or after it "
                "left: call setup_distributed(rank, world_size) first."
            )
        start = time.perf_counter()
        reduction = getattr(criterion, "reduction", "mean")
        check_choice("criterion.reduction", reduction, ("mean", "sum"))
        self._steps += 1
        with self._explained(f"making step {self._steps}"):
            samples = self._samples_of_all(_count(batch_data), _count(labels))
            inputs, labels = to_device((batch_data, labels), self.device)
            self._replica.train()
            outputs = call(self._replica, inputs)
            loss = criterion(_for(criterion, outputs), labels)
            if loss.numel() != 1:
                raise ArgumentError(
                    "criterion", tuple(loss.shape), "a function that returns one number"
                )
            share = labels.shape[0] / sum(samples) if reduction == "mean" else 1.0
            right = _right(outputs, labels)
            sums = torch.stack([loss.detach().float() * share, right]).to(self.device)
            dist.all_reduce(sums)
            if not torch.isfinite(sums[0]):
                raise SpikingDynamicsError(
                    f"The loss became {sums[0].item()} in step {self._steps}; no process has "
                    "stepped. Lower the learning rate or clip the gradients."
                )
            optimizer.zero_grad()
            # The replicas average gradients over processes; the weighted sum is wanted.
            (loss * (share * self.world_size)).backward()
            norm = torch.nn.utils.get_total_norm(
                [p.grad for p in self.model.parameters() if p.grad is not None]
            )
            optimizer.step()
        metrics = {"loss": float(sums[0]), "samples": float(sum(samples)), "grad_norm": float(norm)}
        if bool(torch.isfinite(sums[1])):
            metrics["accuracy"] = float(sums[1]) / sum(samples)
        metrics["seconds"] = time.perf_counter() - start
        return metrics

    def close(self) -> None:
        """Leave the group when all processes have made their last step; keep the model."""
        self._close(wait=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # After an error the others may be gone: waiting for them would hide it.
        self._close(wait=error is None)

    def _close(self, *, wait: bool) -> None:
        if self._replica is None:
            return
        self._replica = None
        self._leave(wait=wait)

    def _leave(self, *, wait: bool) -> None:
        share_batch_norms(self.model, False)
        if self._owns_group:
            with self._explained("leaving the group"):
                leave_group(wait=wait)

    def _samples_of_all(self, inputs: int, targets: int) -> list[int]:
        """Return how many samples each process has, and refuse wrong counts in all alike."""
        mine = torch.tensor([inputs, targets], device=self.device)
        counts = [torch.empty_like(mine) for _ in range(self.world_size)]
        dist.all_gather(counts, mine)
        for process, (inputs, targets) in enumerate(torch.stack(counts).tolist()):
            if inputs != targets:
                received = f"{inputs} inputs and {targets} targets in process {process}"
                raise ArgumentError(
                    "labels", received, "as many targets as inputs, one for each sample"
                )
        numbers = [int(count[0]) for count in counts]
        if min(numbers) == 0:
            received = f"none in process {numbers.index(0)}"
            expected, remedy = (
                "at least one sample in every process",
                "Batches may be uneven, but end an epoch when the first process has no more.",
            )
            raise ArgumentError("batch_data", received, expected, remedy)
        return numbers

    def _explained(self, doing: str) -> Any:
        return explained(self.rank, self.world_size, self.timeout, doing)


def _count(samples: Inputs) -> int:
    """Return how many samples a tensor has, or the first of several; 0 if it is a lone number."""
    tensors = [x for x in named_tensors(samples).values() if x.ndim]
    return len(tensors[0]) if tensors else 0


def _for(criterion: Any, outputs: Tensor) -> Tensor:
    """Return what a criterion expects: torch's losses know no time."""
    is_torchs = isinstance(criterion, nn.Module) and type(criterion).__module__.startswith(
        "torch.nn"
    )
    return outputs.mean(dim=1) if is_torchs and outputs.ndim > 2 else outputs


def _right(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return how many classes are right, NaN where labels are no classes."""
    scores = outputs.mean(dim=1) if outputs.ndim == 3 else outputs
    if scores.ndim != 2 or labels.ndim != 1 or labels.is_floating_point():
        return torch.full((), float("nan"), device=outputs.device)
    return (scores.argmax(dim=1) == labels).sum().float()
