"""Spike encoding on several cores."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikeformer.cross_platform import get_platform_info
from spikeformer.encoding import ENCODERS, PoissonCoding
from spikeformer.error_handling import check_choice, check_positive_int


def parallel_spike_encoding(
    inputs: Tensor,
    encoding_type: str,
    timesteps: int,
    num_workers: int = 4,
    *,
    seed: int | None = None,
    **options: Any,
) -> Tensor:
    """Encode a batch with several threads that write side by side into one tensor.

    The encoders' kernels divide their work over threads by themselves; this sets how many there
    are, where the process is held to fewer (`OMP_NUM_THREADS=1`, a loader's worker). What a kernel
    computes does not depend on it, so the result equals the serial one bit for bit. Input too small
    to gain from a second thread is encoded by one.

    Args:
        inputs: Floating-point values (samples, ...), within the encoder's range.
        encoding_type: A key of `spikeformer.encoding.ENCODERS`: "rate", "poisson", "latency", ...
        timesteps: Length of the spike trains, in steps of 1 ms.
        num_workers: Threads at most; there are never more than cores.
        seed: Seed of "poisson"; None draws one from torch's generator.
        **options: Further arguments of the encoder.

    Returns:
        Spikes (samples, timesteps, ...) in the dtype of `inputs`.

    Raises:
        ArgumentError: A value is outside its range, or the code is unknown.
        SpikingDynamicsError: `inputs` leave the encoder's range.

    Example:
        >>> parallel_spike_encoding(torch.tensor([[0.5]]), "rate", 4).flatten().tolist()
        [1.0, 0.0, 1.0, 0.0]
    """
    encoder = ENCODERS[check_choice("encoding_type", encoding_type, ENCODERS)]
    check_positive_int("num_workers", num_workers)
    if encoder is PoissonCoding:
        options["seed"] = seed
    encode = encoder(timesteps, **options)
    threads = min(num_workers, get_platform_info().cores)
    before = torch.get_num_threads()
    if threads == before or inputs.device.type != "cpu":
        return encode(inputs)
    torch.set_num_threads(threads)
    try:
        return encode(inputs)
    finally:
        torch.set_num_threads(before)
