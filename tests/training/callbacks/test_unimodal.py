from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.callbacks import LambdaCallback
from torch.utils.data import DataLoader

from spikeformer.data.datamodule import as_is
from spikeformer.data.datasets import DictBatches
from spikeformer.error_handling import ArgumentError, ConfigurationError
from spikeformer.models import ClassificationHead
from spikeformer.training.callbacks import UnimodalLoss
from tests.multimodal.test_network import network, samples
from tests.training.toys import lightning_trainer, module, num_hooks, toy_loaders, toy_net


def batches(inputs, labels):
    return DataLoader(DictBatches(inputs, labels), batch_size=len(labels), collate_fn=as_is)


def supervised(net, inputs, labels, *, weight=1.0, lr=1e-12, epochs=1, task_weight=1.0):
    """Train on one batch; return the module, its last losses and the last penalty."""
    task, seen = module(net, lr=lr), SimpleNamespace()
    task.task_weight = task_weight

    def remember(loss):
        seen.loss = loss.item()

    def copy(trainer, task):
        readouts = getattr(task, "unimodal_readouts", torch.nn.Module())
        seen.untrained = [p.detach().clone() for p in readouts.parameters()]

    task.on_before_backward = remember
    callbacks = [UnimodalLoss(weight), LambdaCallback(on_train_start=copy)]
    trainer = lightning_trainer(callbacks=callbacks, max_epochs=epochs)
    trainer.fit(task, batches(inputs, labels), batches(inputs, labels))
    seen.penalty = trainer.callback_metrics["train/unimodal_loss"].item()
    seen.task_loss = trainer.callback_metrics["train/loss"].item()
    return task, seen


def test_unimodal_loss_penalty_by_its_formula():
    torch.manual_seed(0)
    net, inputs, labels = network(), samples(), torch.arange(6) % 4
    task, seen = supervised(net, inputs, labels, weight=0.25)
    net.train()
    expected = 0.0
    for name, x in inputs.items():
        readout = task.unimodal_readouts[name]
        assert isinstance(readout, ClassificationHead)
        logits = readout(net.encoders[name](x)).mean(1)
        expected += 0.25 * torch.nn.functional.cross_entropy(logits, labels).item()
    assert seen.penalty == pytest.approx(expected, rel=1e-4)
    assert seen.loss == pytest.approx(seen.task_loss + expected, rel=1e-4)
    # Nothing of it stays behind, and the readouts are no part of the network.
    assert task.penalties == {}
    assert num_hooks(net) == 0
    assert not any("readouts" in name for name in net.state_dict())


def test_unimodal_loss_in_late_fusion_each_modality_has_the_loss_of_its_own_head():
    torch.manual_seed(0)
    net, inputs, labels = network("late"), samples(), torch.arange(6) % 4
    task, seen = supervised(net, inputs, labels, weight=0.25)
    assert not hasattr(task, "unimodal_readouts")
    net.train()
    alone = [net(**{name: x}).mean(1) for name, x in inputs.items()]
    expected = sum(0.25 * torch.nn.functional.cross_entropy(x, labels).item() for x in alone)
    assert seen.penalty == pytest.approx(expected, rel=1e-4)
    assert num_hooks(net) == 0


def test_unimodal_loss_encoders_and_readouts_learn_from_it_alone():
    torch.manual_seed(0)
    net, inputs, labels = network(), samples(), torch.arange(6) % 4
    before = [p.detach().clone() for p in net.encoders.parameters()]
    _, first = supervised(net, inputs, labels, task_weight=0.0)
    task, last = supervised(net, inputs, labels, lr=3e-2, epochs=15, task_weight=0.0)
    trained = list(task.unimodal_readouts.parameters())
    assert not any(torch.allclose(a, b) for a, b in zip(last.untrained, trained, strict=True))
    assert last.penalty < 0.95 * first.penalty
    after = list(net.encoders.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("fusion", ["cross_attention", "late"])
def test_unimodal_loss_samples_without_a_modality_add_no_loss_of_it(fusion):
    torch.manual_seed(0)
    net, inputs, labels = network(fusion), samples(), torch.arange(6) % 4
    callback, task = UnimodalLoss(1.0), module(net)
    callback.setup(lightning_trainer(), task, "fit")
    callback.on_train_start(None, task)
    mask = torch.tensor([1, 0, 1, 0, 1, 1]).bool()

    def penalty(inputs, labels, **masks):
        callback.on_train_batch_start(None, task, ({**inputs, **masks}, labels), 0)
        net.train()(**inputs, **masks)
        return callback.penalty(task)

    found = penalty(inputs, labels, modality_mask={"audio": mask})
    seen = penalty({"vision": inputs["vision"]}, labels)
    heard = penalty({"audio": inputs["audio"][mask]}, labels[mask])
    torch.testing.assert_close(found, seen + heard)
    assert callback.penalty(task) is None
    callback.teardown(None, task, "fit")


def test_unimodal_loss_what_it_refuses():
    with pytest.raises(ArgumentError, match="weight"):
        UnimodalLoss(0.0)
    trainer = lightning_trainer(callbacks=[UnimodalLoss()])
    with pytest.raises(ConfigurationError, match=r"MultiModalNetwork.*ToyNet"):
        trainer.fit(module(toy_net()), *toy_loaders())
