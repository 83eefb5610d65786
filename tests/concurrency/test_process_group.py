"""Processes meet, and errors of the backends say who is missing."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist

from spikeformer.concurrency.process_group import (
    choose_backend,
    choose_device,
    explained,
    join_group,
    leave_group,
)
from spikeformer.error_handling import ArgumentError, ProcessGroupError


def test_join_group_of_one_and_leave_it(tmp_path):
    options = {"backend": "gloo", "timeout": 30.0, "init_method": f"file://{tmp_path / 'meet'}"}
    assert join_group(0, 1, **options) is True
    try:
        assert join_group(0, 1, **options) is False
        with pytest.raises(ArgumentError, match="group that this process is in"):
            join_group(0, 2, **options)
    finally:
        leave_group(wait=True)
    assert not dist.is_initialized()


@pytest.mark.parametrize(
    ("rank", "size", "named"), [(2, 2, "rank"), (-1, 2, "rank"), (0, 0, "world_size")]
)
def test_join_group_refuses_a_rank_outside(rank, size, named):
    with pytest.raises(ArgumentError, match=named):
        join_group(rank, size, backend="gloo", timeout=1.0, init_method=None)


def test_explained_tells_a_lost_process_from_other_errors():
    with (
        pytest.raises(ProcessGroupError, match=r"Process 1 of 4 lost .* adding up: .*\[gloo\]"),
        explained(1, 4, 2.5, "adding up"),
    ):
        raise RuntimeError("[gloo] Connection closed by peer\nand more")
    with pytest.raises(RuntimeError, match="shapes"), explained(0, 2, 1.0, "adding up"):
        raise RuntimeError("shapes do not fit")


def test_choose_backend_and_device_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert choose_backend("auto") == "gloo"
    assert choose_backend("nccl") == "nccl"
    assert choose_device("gloo", 3) == torch.device("cpu")
    with pytest.raises(ArgumentError, match="GPU of its own"):
        choose_device("nccl", 0)
