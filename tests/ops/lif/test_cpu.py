"""The CPU kernel of `lif` on several threads and in forked processes."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from spikeformer.ops import lif
from tests.ops.lif.cases import random_current, results


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_results_do_not_depend_on_threads(threads):
    current = random_current(5, 8, 7000)
    runs = []
    for count in (1, 2, 3, 2):
        threads(count)
        runs.append(results(current, "cpu"))
    for run in runs[1:]:
        assert all(torch.equal(run[name], runs[0][name]) for name in run)


class _LifInWorker(Dataset):
    """Runs the kernel on two threads in whichever process fetches a sample."""

    def __init__(self, current):
        self.current = current

    def __len__(self):
        return 2

    def __getitem__(self, index):
        torch.set_num_threads(2)
        spikes, _ = lif(self.current, decay=0.9, backend="cpu")
        torch.set_num_threads(1)
        return spikes


# Newer Pythons warn of any fork after a thread was started, which is what this test does.
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_forked_data_loader_workers(threads):
    threads(2)
    dataset = _LifInWorker(random_current(4, 8, 10_000))
    expected = dataset[0]  # the parent's threads now exist, and a fork will not copy them
    loader = DataLoader(dataset, num_workers=1, multiprocessing_context="fork", timeout=60)
    for batch in loader:
        assert torch.equal(batch[0], expected)
