from __future__ import annotations

import os
import signal
import socket

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import TensorDataset

from spikeformer.data import DigitsDataModule, SpikingDataModule, Splits, TensorBatches
from spikeformer.error_handling import SIGNALS, ArgumentError, DataError
from spikeformer.training.callbacks import EpochSeed
from tests.data.processes import fit_twice
from tests.forking import Forked


class Numbers(SpikingDataModule):
    """Sample i is the number i."""

    def __init__(self, count=10, dataset=TensorBatches, validated=False, **options):
        super().__init__(**options)
        self.count, self.dataset, self.validated = count, dataset, validated

    def load(self):
        values = torch.arange(self.count)
        data = self.dataset(values[:, None].float(), values)
        val = data if self.validated else None
        return Splits(data, val, data, [str(i) for i in range(self.count)])


def flat(lists):
    return [item for items in lists for item in items]


def epochs(model):
    return {e: [x.flatten().tolist() for x, _ in batches] for e, batches in model.seen.items()}


def test_lightning_tells_the_sampler_its_epoch(recorder, trainer):
    model = recorder(1, 10)
    trainer(max_epochs=3).fit(model, datamodule=Numbers(batch_size=4))
    orders = [flat(batches) for batches in epochs(model).values()]
    assert [sorted(order) for order in orders] == [list(range(10))] * 3
    assert len({tuple(order) for order in orders}) == 3


@pytest.mark.parametrize("num_workers", [0, 1])
def test_resumed_run_sees_the_same_augmented_batches(recorder, trainer, tmp_path, num_workers):
    def run(model, checkpoint=None, **options):
        torch.manual_seed(torch.seed() % 1000)  # the global stream must not matter
        data = DigitsDataModule(batch_size=300, max_shift=2, num_workers=num_workers)
        made = trainer(**options)
        made.fit(model, datamodule=data, ckpt_path=checkpoint)
        return made

    whole, first, second = (recorder(64, 10) for _ in range(3))
    run(whole, max_epochs=3)
    run(first, max_epochs=2).save_checkpoint(tmp_path / "last.ckpt")
    run(second, checkpoint=tmp_path / "last.ckpt", max_epochs=3)
    assert list(second.seen) == [2]
    for (a, target_a), (b, target_b) in zip(whole.seen[2], second.seen[2], strict=True):
        assert torch.equal(a, b)
        assert torch.equal(target_a, target_b)
    assert not torch.equal(whole.seen[1][0][0], whole.seen[2][0][0])


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
@pytest.mark.parametrize("after_validation", [True, False])
@pytest.mark.parametrize("num_workers", [0, 1])
def test_resumed_between_epochs_a_scheduled_run_sees_the_next_one(
    recorder, trainer, tmp_path, num_workers, after_validation
):
    def run(checkpoint=None):
        model = recorder(1, 10)
        # As a schedule does, which wants to know the length before the checkpoint is read.
        model.configure_optimizers = lambda: model.trainer.estimated_stepping_batches and optimizer
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        data = Numbers(batch_size=4, num_workers=num_workers, validated=True)
        when = {"save_on_train_epoch_end": not after_validation}
        keep = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1, **when)
        made = trainer(max_epochs=4, callbacks=[EpochSeed(0), keep], enable_checkpointing=True)
        made.fit(model, datamodule=data, ckpt_path=checkpoint)
        return epochs(model)

    whole = run()
    for epoch in range(3):
        assert run(tmp_path / f"epoch={epoch}.ckpt") == {e: whole[e] for e in range(epoch + 1, 4)}


def test_workers_do_not_change_what_is_seen(recorder, trainer):
    seen = []
    for num_workers in (0, 2):
        model = recorder(64, 10)
        data = DigitsDataModule(batch_size=400, max_shift=1, num_workers=num_workers)
        trainer(max_epochs=2).fit(model, datamodule=data)
        seen.append(torch.cat([x for batches in model.seen.values() for x, _ in batches]))
    assert torch.equal(*seen)


def test_loader_processes_outlive_the_signals_that_ask_a_run_to_stop():
    data = Numbers(num_workers=1, batch_size=1)
    data.setup()
    batches = iter(data.train_dataloader())
    next(batches)
    (worker,) = batches._workers
    for number in SIGNALS:
        os.kill(worker.pid, number)
    assert len(list(batches)) == 9
    assert worker.is_alive()
    os.kill(worker.pid, signal.SIGTERM)
    worker.join(timeout=30)
    assert worker.exitcode == -signal.SIGTERM


def test_loaders_leave_the_global_stream_alone():
    data = Numbers()
    data.setup()
    before = torch.get_rng_state()
    list(data.train_dataloader())
    list(data.test_dataloader())
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"),
    [(9, 4, [4, 4]), (10, 4, [4, 4, 2]), (8, 4, [4, 4]), (1, 4, [1]), (3, 1, [1, 1, 1])],
)
def test_a_last_batch_of_one_is_dropped_in_training_only(count, batch_size, sizes):
    data = Numbers(count, batch_size=batch_size)
    data.setup()
    assert [len(y) for _, y in data.train_dataloader()] == sizes
    assert sum(len(y) for _, y in data.test_dataloader()) == count


def test_an_ordinary_dataset_is_collated():
    data = Numbers(6, dataset=TensorDataset, batch_size=3)
    data.setup()
    assert [x.shape for x, _ in data.train_dataloader()] == [(3, 1), (3, 1)]


def test_setup_loads_once():
    data = Numbers()
    data.setup("fit")
    splits = data.splits
    data.setup("test")
    assert data.splits is splits
    assert data.num_classes == 10
    assert data.task == "classification"


def test_no_validation_split_is_no_validation(recorder, trainer):
    model = recorder(1, 10)
    trainer(max_epochs=1).fit(model, datamodule=Numbers())
    assert model.validated == []


def test_validation_and_test_batches_are_not_augmented(recorder, trainer):
    model = recorder(64, 10)
    data = DigitsDataModule(max_shift=3, batch_size=2000)
    trainer(max_epochs=1).fit(model, datamodule=data)
    assert torch.equal(model.validated[-1], data.splits.val.inputs)


def test_two_ranks_augment_in_their_own_way(recorder, trainer, monkeypatch):
    def seen(rank):
        monkeypatch.setattr(L.Trainer, "global_rank", property(lambda self: rank))
        model = recorder(64, 10)
        data = DigitsDataModule(max_shift=3, batch_size=2000)
        trainer(max_epochs=1).fit(model, datamodule=data)
        return model.seen[0][0]

    (first, labels), (second, same) = seen(0), seen(1)
    assert torch.equal(labels, same)
    assert not torch.equal(first, second)
    assert torch.equal(first, seen(0)[0])


def test_before_setup_the_error_says_so():
    with pytest.raises(DataError, match="setup"):
        _ = DigitsDataModule().class_names


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"num_workers": -1}, {"seed": -1}])
def test_values_outside_their_range(wrong):
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        Numbers(**wrong)


@pytest.mark.slow
def test_two_processes_share_each_epoch_and_prepare_at_once(tmp_path):
    rows = [f"one of {i} sentences,{i % 2}" for i in range(40)]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *rows]))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    ranks = [Forked(fit_twice, tmp_path, LOCAL_RANK=str(rank), **meeting) for rank in range(2)]
    for done in [rank.communicate() for rank in ranks]:
        assert done.returncode == 0, done.stderr
    shares = [torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2)]
    assert sorted(shares[0]["validated"] + shares[1]["validated"]) == list(range(10))
    orders = []
    for epoch in range(2):
        a, b = (flat(share["seen"][epoch]) for share in shares)
        assert sorted(a + b) == list(range(10))
        orders.append(a)
    assert orders[0] != orders[1]
    assert torch.equal(shares[0]["tokens"], shares[1]["tokens"])
    assert not list((tmp_path / "cache").rglob("*.tmp"))
    # Nine samples a process at eight a batch would leave one: 18 samples, last batch dropped.
    assert all(share["odd_sizes"] == [8] for share in shares)
