from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import nn

from spikeformer.error_handling import ArgumentError, ConfigurationError
from spikeformer.models import ClassificationHead, HierarchicalViT, SpikingNetwork, SpikingViT
from spikeformer.training import Lamb, Muon
from spikeformer.training.optimizers import (
    change_settings,
    layer_factors,
    make_optimizer,
    settings_of,
)
from spikeformer.training.schedules import cosine_with_warmup
from tests.training.toys import lightning_trainer, module, spiking_trainer, toy_loaders, toy_net


@pytest.mark.parametrize("name", ["LBFGS", "Adagrad", "RMSprop", "Rprop", "Lamb", "Muon"])
def test_optimizers_by_name_train(name):
    lr = 0.1 if name == "LBFGS" else 0.01
    trainer = spiking_trainer(optimizer=name, loss_fn="cross_entropy", learning_rate=lr)
    history = trainer.fit(*toy_loaders(), epochs=5)
    assert history[-1]["train/loss"] < history[0]["train/loss"]


def test_optimizers_that_do_not_take_all_parameters_are_refused_before_training():
    trainer = spiking_trainer(optimizer="SparseAdam")
    before = copy.deepcopy(trainer.model.state_dict())
    with pytest.raises(ArgumentError, match=r"`optimizer`.*SparseAdam.*AdamW"):
        trainer.fit(*toy_loaders(), epochs=1)
    for key, value in trainer.model.state_dict().items():
        assert torch.equal(value, before[key])


def test_matrices_alone_have_weight_decay():
    net = toy_net()
    optimizer = make_optimizer(partial(torch.optim.AdamW, weight_decay=0.1), net.parameters())
    decay = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert {name: decay[id(p)] for name, p in net.named_parameters()} == {
        name: 0.1 if p.ndim > 1 else 0.0 for name, p in net.named_parameters()
    }


def test_the_matrices_inside_a_network_are_a_group_of_their_own_for_muon():
    net = SpikingNetwork(
        SpikingViT(1, 8, 8, 2, num_layers=1, stem_strides=[2, 2]), ClassificationHead(8, 3)
    )
    factory = partial(Muon, lr=0.8, weight_decay=0.1)
    task = module(net, layer_decay=0.5)
    task.optimizer = factory
    optimizer = task.configure_optimizers()
    group_of = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    assert len(group_of) == len(list(net.parameters()))
    matrices = {name for name, p in net.named_parameters() if group_of[id(p)]["matrix"]}
    block = "backbone.blocks.blocks.0"
    layers = ("attention.qkv", "attention.out", "mlp.expand", "mlp.contract")
    assert matrices == {f"{block}.{layer}.weight" for layer in layers}
    for name, p in net.named_parameters():
        assert group_of[id(p)]["weight_decay"] == (0.1 if p.ndim > 1 else 0.0)
        assert group_of[id(p)]["lr"] == (0.8 if "head" in name else 0.4 if block in name else 0.2)
    every = make_optimizer(partial(torch.optim.AdamW, lr=1.0), net.parameters(), None, matrices)
    assert not any("matrix" in group for group in every.param_groups if group["params"])


@pytest.mark.parametrize("kind", [Lamb, Muon])
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(tmp_path, kind):
    schedule = partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.8)
    options = {"kind": kind, "scheduler": schedule, "lr": 0.02, "weight_decay": 0.1}
    whole = trained(tmp_path, 2, **options)
    trained(tmp_path, 1, **options)
    resumed = trained(tmp_path, 2, tmp_path / "last.ckpt", **options)
    expected = whole.lightning_module.state_dict()
    for name, value in resumed.lightning_module.state_dict().items():
        assert torch.equal(value, expected[name])


def trained(tmp_path, epochs, ckpt_path=None, scheduler=None, kind=torch.optim.AdamW, **optimizer):
    factory = partial(kind, **optimizer)
    task = module(toy_net(), scheduler=scheduler)
    task.optimizer = factory
    trainer = lightning_trainer(max_epochs=epochs, default_root_dir=tmp_path)
    trainer.fit(task, *toy_loaders(), ckpt_path=ckpt_path)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    return trainer


def test_a_resumed_training_has_the_settings_it_is_given(tmp_path):
    trained(tmp_path, 1, lr=0.01, weight_decay=0.1, eps=1e-8)
    trainer = trained(tmp_path, 2, tmp_path / "last.ckpt", lr=0.003, weight_decay=0.2, eps=1e-8)
    groups = trainer.optimizers[0].param_groups
    assert [group["lr"] for group in groups] == pytest.approx([0.003, 0.003])
    assert [group["weight_decay"] for group in groups] == [0.2, 0.0]
    assert trainer.optimizers[0].state  # the moments are those of the checkpoint


@pytest.mark.parametrize("lr", [0.01, 0.002])
def test_a_schedule_goes_on_from_its_place_with_another_learning_rate(tmp_path, lr):
    schedule = partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    trained(tmp_path, 1, lr=0.01, scheduler=schedule)  # four batches
    trainer = trained(tmp_path, 2, tmp_path / "last.ckpt", lr=lr, scheduler=schedule)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(lr * 0.5**8)


def test_a_checkpoint_of_another_optimizer_is_refused(tmp_path):
    trained(tmp_path, 1, lr=0.01)
    task = module(toy_net())
    task.optimizer = partial(torch.optim.SGD, lr=0.01)
    with pytest.raises(ArgumentError, match=r"AdamW, which the checkpoint was trained with"):
        lightning_trainer(max_epochs=2).fit(task, *toy_loaders(), ckpt_path=tmp_path / "last.ckpt")


def test_settings_of_a_checkpoint_without_states_change_nothing():
    settings = settings_of(partial(torch.optim.SGD, lr=0.1))
    checkpoint = {"optimizer_settings": settings}
    change_settings(checkpoint, {**settings, "lr": 0.2})
    assert checkpoint == {"optimizer_settings": settings}


def test_a_schedule_over_all_steps_needs_their_number():
    task = module(toy_net(), scheduler=cosine_with_warmup)
    trainer = lightning_trainer(max_epochs=-1, max_time="00:00:01:00")
    with pytest.raises(ConfigurationError, match=r"max_epochs=-1.*scheduler=constant"):
        trainer.fit(task, *toy_loaders())


def test_an_optimizer_is_tried_without_touching_the_network():
    assert settings_of(partial(torch.optim.AdamW, lr=0.25))["lr"] == 0.25
    parameter = nn.Parameter(torch.ones(2, 2))
    assert make_optimizer(torch.optim.SGD, [parameter]).param_groups[0]["params"][0] is parameter


def test_an_eps_that_half_precision_rounds_to_zero_is_refused():
    layer = nn.Linear(3, 2).half()
    with pytest.raises(ConfigurationError, match=r"eps=1e-08 is 0 in float16"):
        make_optimizer(torch.optim.AdamW, layer.parameters())
    make_optimizer(partial(torch.optim.AdamW, eps=1e-4), layer.parameters())
    make_optimizer(partial(torch.optim.SGD, lr=0.1), layer.parameters())


@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "64-true"])
def test_networks_train_with_weights_in_any_precision(precision):
    optimizer = "AdamW" if precision != "16-true" else "SGD"
    trainer = spiking_trainer(precision=precision, optimizer=optimizer, learning_rate=0.05)
    history = trainer.fit(*toy_loaders(), epochs=3)
    assert history[-1]["val/accuracy"] > 0.9


def factors_of(net, decay=0.5):
    found = layer_factors(net, decay)
    return {name: found[p] for name, p in net.named_parameters()}


def test_learning_rates_fall_from_the_head_to_the_stem():
    net = SpikingNetwork(
        SpikingViT(1, 8, 8, 2, 2, 2, stem_strides=[2, 2]), ClassificationHead(8, 3)
    )
    found = factors_of(net)
    assert found["head.readout.weight"] == 1
    assert {v for k, v in found.items() if ".blocks.1." in k} == {0.5}
    assert {v for k, v in found.items() if ".blocks.0." in k} == {0.25}
    assert {v for k, v in found.items() if ".stem." in k} == {0.125}
    optimizer = make_optimizer(
        partial(torch.optim.AdamW, lr=0.8, weight_decay=0.1),
        net.parameters(),
        layer_factors(net, 0.5),
    )
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert {n: rates[id(p)] for n, p in net.named_parameters()} == pytest.approx(
        {n: 0.8 * factor for n, factor in found.items()}
    )
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert all((decays[id(p)] == 0.1) == (p.ndim > 1) for p in net.parameters())


def test_between_stages_counts_the_block_before():
    net = HierarchicalViT(1, 8, 8, (2, 2), (1, 2), 2)
    found = factors_of(net)
    assert {v for k, v in found.items() if k.startswith("embeddings.0")} == {0.5**4}
    assert {v for k, v in found.items() if k.startswith("stages.0.blocks.0")} == {0.5**3}
    assert {v for k, v in found.items() if k.startswith("embeddings.1")} == {0.5**3}
    assert {v for k, v in found.items() if k.startswith("stages.1.blocks.1")} == {0.5}


def test_layer_decay_is_refused_where_it_means_nothing():
    assert layer_factors(nn.Linear(2, 2), 1.0) == {}
    for net, decay in ((nn.Linear(2, 2), 0.5), (HierarchicalViT(1, 8, 8, (2, 2), (1, 1)), 0.0)):
        with pytest.raises(ArgumentError, match="layer_decay"):
            layer_factors(net, decay)
