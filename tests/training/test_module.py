from __future__ import annotations

import math
from functools import partial

import lightning as L
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError
from spikeformer.models import ClassificationHead, SpikingNetwork, sparsity_loss
from spikeformer.models.layers import SpikeLinear
from spikeformer.neurons import ParametricLifNeuron
from spikeformer.training import (
    ClassificationModule,
    HistoryRecorder,
    SpikingModule,
    cosine_with_warmup,
    get_loss,
)
from spikeformer.training.callbacks import EpochSeed
from tests.models.test_spiking_transformer import transformer
from tests.models.test_spiking_vit import vit
from tests.training.toys import (
    lightning_trainer,
    loader,
    module,
    separable,
    toy_loaders,
    toy_net,
)


def test_spiking_module_weight_decay_spares_biases_norms_and_neurons():
    net = vit(neuron=ParametricLifNeuron)
    net.stem.convs[0].conv.weight.requires_grad_(False)
    optimizer = partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.1)
    task = SpikingModule(net, get_loss("cross_entropy"), optimizer)
    decayed, spared = task.configure_optimizers().param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    names = {id(p): name for name, p in net.named_parameters()}
    decayed = {names[id(p)] for p in decayed["params"]}
    spared = {names[id(p)] for p in spared["params"]}
    weights = {
        f"{name}.weight" for name, m in net.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)
    }
    assert decayed == weights - {"stem.convs.0.conv.weight"}
    assert spared == set(names.values()) - weights
    assert any("decay_logit" in name for name in spared)
    assert any("norm.weight" in name for name in spared)


def test_spiking_module_network_of_biases_alone_has_one_group():
    net = nn.Linear(2, 2)
    net.weight.requires_grad_(False)
    (group,) = SpikingModule(net, get_loss("mse")).configure_optimizers().param_groups
    assert group["weight_decay"] == 0.0
    net.bias.requires_grad_(False)
    with pytest.raises(ArgumentError, match="parameters to train"):
        SpikingModule(net, get_loss("mse")).configure_optimizers()


def test_spiking_module_scheduler_knows_the_number_of_steps():
    schedule = partial(cosine_with_warmup, warmup=0.0)
    task, recorder = module(lr=0.1, scheduler=schedule), HistoryRecorder()
    lightning_trainer(max_epochs=4, callbacks=[recorder]).fit(task, *toy_loaders())
    expected = [0.05 * (1 + math.cos(math.pi * e / 4)) for e in (1, 2, 3, 4)]
    assert [row["lr"] for row in recorder.history] == pytest.approx(expected, abs=1e-9)


def test_spiking_module_scheduler_without_total_steps_gets_none():
    schedule = partial(torch.optim.lr_scheduler.StepLR, step_size=4, gamma=0.5)
    task, recorder = module(lr=0.1, scheduler=schedule), HistoryRecorder()
    lightning_trainer(max_epochs=3, callbacks=[recorder]).fit(task, *toy_loaders())
    assert [row["lr"] for row in recorder.history] == pytest.approx([0.05, 0.025, 0.0125])


def test_spiking_module_metrics_are_of_the_whole_epoch():
    # 40 samples in batches of 16: the last is half as large and must count half.
    (x, y), (u, v) = separable(40), separable(24, seed=2)
    task, recorder = module(lr=1e-12), HistoryRecorder()
    trainer = lightning_trainer(callbacks=[recorder])
    trainer.fit(task, loader(x, y), loader(u, v))
    (row,) = recorder.history
    for stage, (inputs, target) in {"train": (x, y), "val": (u, v)}.items():
        with torch.no_grad():
            outputs = task.net(inputs)
        right = (outputs.mean(1).argmax(1) == target).float().mean().item()
        assert row[f"{stage}/accuracy"] == pytest.approx(right)
        loss = task.loss(outputs, target).item()
        assert row[f"{stage}/loss"] == pytest.approx(loss, rel=1e-5)
    assert row["epoch"] == 0
    assert row["seconds"] > 0
    (result,) = trainer.test(task, loader(u, v), verbose=False)
    assert result["test/accuracy"] == pytest.approx(row["val/accuracy"])


def test_spiking_module_mixed_targets_count_by_their_larger_part():
    task = module()
    metrics = task.metrics["val_metrics"]
    outputs = torch.tensor([[[2.0, 1.0]], [[0.0, 1.0]], [[3.0, 0.0]]])
    task.update_metrics(metrics, outputs, torch.tensor([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]]))
    assert metrics["accuracy"].compute().item() == pytest.approx(2 / 3)


def test_spiking_module_predictions_are_averages_over_time():
    task, (x, y) = module(), separable(20)
    trainer = lightning_trainer()
    batches = trainer.predict(task, loader(x, y))
    torch.testing.assert_close(torch.cat(batches), task.net(x).mean(1).detach())
    torch.testing.assert_close(task.predict_step(x), task.net(x).mean(1))


class Poisoned(nn.Module):
    """Gives NaN from its second call on."""

    def __init__(self):
        super().__init__()
        self.net, self.calls = toy_net(), 0

    def forward(self, x):
        self.calls += 1
        return self.net(x) * (1.0 if self.calls == 1 else math.nan)


def test_spiking_module_loss_that_is_not_finite_stops_with_a_remedy():
    with pytest.raises(SpikingDynamicsError, match=r"nan at step 1\. Lower.*gradient_clip_val"):
        lightning_trainer().fit(module(Poisoned()), *toy_loaders())


def test_spiking_module_sparsity_is_added_with_its_weight():
    net = SpikingNetwork(vit(), ClassificationHead(8, 2))
    images, target = torch.rand(4, 2, 6, 8), torch.tensor([0, 1, 0, 1])
    totals = {}
    for weight in (0.0, 5.0):
        task = module(net, sparsity_weight=weight)
        task.log = lambda *args, **kwargs: None
        torch.manual_seed(1)
        totals[weight] = task.training_step((images, target), 0)
    expected = 5.0 * sparsity_loss(net)
    assert expected > 0
    torch.testing.assert_close(totals[5.0] - totals[0.0], expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ArgumentError, match="`sparsity_weight`"):
        module(sparsity_weight=-1.0)


def test_spiking_module_inputs_may_be_keyword_arguments():
    net = SpikingNetwork(transformer(), ClassificationHead(8, 2))
    tokens = torch.randint(11, (8, 5))
    mask = torch.arange(5) < torch.randint(1, 6, (8, 1))
    samples = [
        ({"input_ids": t, "mask": m}, torch.tensor(i % 2))
        for i, (t, m) in enumerate(zip(tokens, mask, strict=True))
    ]
    data = DataLoader(samples, 4)
    task, recorder = module(net), HistoryRecorder()
    lightning_trainer(callbacks=[recorder]).fit(task, data, data)
    assert math.isfinite(recorder.history[0]["val/loss"])
    batch = next(iter(data))
    net.eval()
    expected = net(batch[0]["input_ids"], mask=batch[0]["mask"]).mean(1)
    torch.testing.assert_close(task.predict_step(batch), expected)


class Gradients(L.Callback):
    def __init__(self):
        self.norms, self.steps = [], 0

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        grads = [p.grad for p in pl_module.parameters() if p.grad is not None]
        self.norms.append(torch.stack([g.norm() for g in grads]).norm().item())
        self.steps += 1


def trained(**options):
    task = module(lr=0.05)
    lightning_trainer(max_epochs=2, **options).fit(task, *toy_loaders())
    return task.net.state_dict()


def test_spiking_module_accumulated_small_batches_are_one_large_batch():
    task, (x, y) = module(lr=0.05), separable()
    options = {"max_epochs": 2, "accumulate_grad_batches": 4}
    lightning_trainer(**options).fit(task, loader(x, y, 16), loader(x, y))
    large = module(lr=0.05)
    lightning_trainer(max_epochs=2).fit(large, loader(x, y, 64), loader(x, y))
    for name, value in task.net.state_dict().items():
        torch.testing.assert_close(value, large.net.state_dict()[name], rtol=1e-3, atol=1e-5)
    assert not torch.equal(task.net.embed.weight, toy_net().embed.weight)


def test_spiking_module_gradient_clipping_acts():
    seen = Gradients()
    lightning_trainer(gradient_clip_val=1e-3, callbacks=[seen]).fit(module(), *toy_loaders())
    assert seen.steps == 4
    plain, clipped = trained(), trained(gradient_clip_val=1e-6)
    assert any(not torch.equal(plain[name], clipped[name]) for name in plain)


def test_spiking_module_bf16_mixed_trains():
    recorder = HistoryRecorder()
    trainer = lightning_trainer(precision="bf16-mixed", max_epochs=15, callbacks=[recorder])
    task = module(lr=0.05)
    trainer.fit(task, *toy_loaders())
    assert recorder.history[-1]["val/accuracy"] > 0.9
    assert all(p.dtype == torch.float32 for p in task.parameters())


def test_spiking_module_compiles_in_place():
    task = module(toy_net(), compile=True)
    assert list(task.net.state_dict()) == list(toy_net().state_dict())
    assert task.net._compiled_call_impl is not None
    assert module(toy_net()).net._compiled_call_impl is None


def test_spiking_module_recomputes_currents_if_told():
    net = nn.Sequential(SpikeLinear(2, 2))
    assert not module(net).net[0].recompute
    assert module(net, recompute="hidden").net[0].recompute
    with pytest.raises(ArgumentError, match="compiled"):
        module(net, recompute="all", compile=True)


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_spiking_module_resuming_gives_the_loss_curve_of_the_whole_run(tmp_path, dropout):
    def run(name, max_epochs, ckpt_path=None):
        recorder = HistoryRecorder(tmp_path / name / "metrics.csv")
        task = module(
            toy_net(dropout=dropout),
            lr=0.05,
            scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=3, gamma=0.9),
        )
        keep = L.pytorch.callbacks.ModelCheckpoint(tmp_path / name, save_last=True)
        trainer = lightning_trainer(
            max_epochs=max_epochs,
            callbacks=[EpochSeed(7), recorder, keep],
            enable_checkpointing=True,
        )
        trainer.fit(task, *toy_loaders(shuffle=True), ckpt_path=ckpt_path)
        return [{k: v for k, v in row.items() if k != "seconds"} for row in recorder.history]

    whole = run("whole", 4)
    half = run("half", 2)
    resumed = run("half", 4, str(tmp_path / "half" / "last.ckpt"))
    assert half == whole[:2]
    assert resumed == whole
    assert len({row["train/loss"] for row in whole}) == 4


def test_spiking_module_checkpoint_holds_plain_data(tmp_path):
    task = module()
    trainer = lightning_trainer()
    trainer.fit(task, *toy_loaders())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert set(toy_net().state_dict()) <= {k.removeprefix("net.") for k in saved["state_dict"]}
    assert isinstance(task, ClassificationModule)
