"""A running training hears of a withdrawal at the next epoch."""

from __future__ import annotations

import lightning as L
import pytest
import torch

from spikeformer.compliance import ConsentGate
from spikeformer.data import TableDataModule, TensorBatches
from spikeformer.error_handling import ComplianceError, DataError
from spikeformer.training.callbacks import ConsentWatch
from tests.compliance.records import agreed, make
from tests.training.toys import lightning_trainer, module


class Numbers(TableDataModule):
    """Four numbers of each person; the first is the person's own."""

    def build(self, parts):
        return {
            name: TensorBatches(
                torch.tensor([[float(n), 0.1, 0.2, 0.3] for n in part.table["number"]]),
                torch.from_numpy(part.labels),
            )
            for name, part in parts.items()
        }


class Seen(L.Callback):
    """Whose samples each epoch used; in one of them somebody withdraws."""

    def __init__(self, manager, who, epoch=0):
        self.manager, self.who, self.epoch = manager, who, epoch
        self.train, self.val = [], []

    def on_train_epoch_start(self, trainer, pl_module):
        self.train.append([])
        self.val.append([])

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.train[-1] += batch[0][:, 0].int().tolist()
        if trainer.current_epoch == self.epoch and batch_idx == 0:
            self.manager.withdraw_consent(self.who)

    def on_validation_batch_start(self, trainer, pl_module, batch, *rest):
        self.val[-1] += batch[0][:, 0].int().tolist()


@pytest.fixture
def manager(tmp_path):
    manager = make(tmp_path / "records")
    for name in ("p0", "p1", "p2"):
        agreed(manager, name)
    return manager


@pytest.fixture
def train(tmp_path, manager):
    lines = [
        f"{person},{label},p{person}" for person in range(3) for label in (0, 1) for _ in range(5)
    ]
    (tmp_path / "data").mkdir()
    for split in ("train", "validation", "test"):
        content = "\n".join(["number,label,speaker", *lines])
        (tmp_path / "data" / f"{split}.csv").write_text(content)

    def run(who, on_withdrawal, **options):
        data = Numbers(path=str(tmp_path / "data"), cache_dir=str(tmp_path / "c"), batch_size=4)
        data.gate = ConsentGate(manager.folder, on_withdrawal=on_withdrawal)
        seen = Seen(manager, who, **options)
        watch = ConsentWatch(data, tmp_path / "run")
        trainer = lightning_trainer(max_epochs=3, callbacks=[seen, watch])
        return data, seen, lambda: trainer.fit(module(), data)

    return run


def test_it_stops(train, tmp_path):
    _, seen, fit = train("p1", "stop")
    with pytest.raises(ComplianceError, match=f"1 person .* the run stops.*{tmp_path / 'run'}"):
        fit()
    assert len(seen.train) == 1


def test_it_goes_on_without_the_person(train, manager, tmp_path):
    data, seen, fit = train("p1", "drop")
    fit()
    assert [sorted(epoch) for epoch in seen.train] == [
        [0] * 10 + [1] * 10 + [2] * 10,
        [0] * 10 + [2] * 10,
        [0] * 10 + [2] * 10,
    ]
    assert [sorted(set(epoch)) for epoch in seen.val] == [[0, 1, 2], [0, 2], [0, 2]]
    assert seen.train[1] != seen.train[2]  # each epoch still has its own order
    assert len(data.splits.test) == 20
    assert data.gate.used == {"p0": 30, "p2": 30}
    assert data.gate.left_out["withdrawn"] == {"p1": 30}
    (entry,) = manager.ledger.entries(kind="dropped")
    assert entry.payload == {
        "folder": str(tmp_path / "run"),
        "subjects": [manager.vault.pseudonym("p1")],
    }


def test_an_erased_person_is_dropped_too(train, manager):
    data, seen, fit = train("p2", "drop")
    seen.manager = type("Eraser", (), {"withdraw_consent": staticmethod(erase(manager))})
    fit()
    assert set(seen.train[1]) == {0, 1}
    assert set(data.gate.used) == {"p0", "p1"}


def erase(manager):
    return lambda name: manager.handle_data_subject_request("erasure", name)


def test_nobody_is_left(train, manager):
    _, _, fit = train("p0", "drop")
    manager.withdraw_consent("p1")
    manager.withdraw_consent("p2")
    with pytest.raises(DataError, match="privacy consent"):
        fit()


def test_without_a_withdrawal_nothing_changes(train, manager):
    data, seen, fit = train("nobody", "stop", epoch=99)
    fit()
    assert [len(epoch) for epoch in seen.train] == [30, 30, 30]
    assert not manager.ledger.entries(kind="dropped")
    assert data.gate.used == {"p0": 30, "p1": 30, "p2": 30}
