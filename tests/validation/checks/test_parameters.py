from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tests.validation.faults import assert_found_from_its_level_on, fault, faults_of
from tests.validation.networks import HARD, chain, vit


@fault("critical", "basic", "head", "values are NaN")
def nan_weights():
    net = vit()
    with torch.no_grad():
        net.head.readout.weight[0, 0] = math.nan
    return net


@fault("critical", "basic", "blocks.0.mlp.expand.weight", "values are Inf")
def infinite_weights():
    net = vit()
    with torch.no_grad():
        net.backbone.blocks.blocks[0].mlp.expand.weight[0, 0] = math.inf
    return net


@fault("critical", "basic", "running_mean", "NaN")
def nan_statistics():
    net = vit()
    net.backbone.blocks.blocks[0].mlp.expand_norm.running_mean.fill_(math.nan)
    return net


@fault("error", "basic", "expand_norm", "A running variance is -1")
def negative_variance():
    net = vit()
    net.backbone.blocks.blocks[0].mlp.expand_norm.running_var[3] = -1.0
    return net


@fault("warning", "basic", "expand_norm", "1 of 64 channels have never varied")
def channel_that_never_varied():
    net = vit()
    norm = net.backbone.blocks.blocks[0].mlp.expand_norm
    norm.num_batches_tracked += 5
    norm.running_var[3] = 0.0
    return net


@fault("critical", "basic", "0.weight", "no values")
def meta_parameters():
    return nn.Sequential(nn.Linear(4, 4, device="meta"), HARD(threshold=1.0))


@fault("error", "basic", "", "several devices")
def two_devices():
    return nn.Sequential(nn.Linear(4, 4, device="meta"), HARD(threshold=1.0), nn.Linear(4, 4))


@fault("warning", "basic", "", "several precisions")
def mixed_precision():
    net = chain()
    net.append(nn.Linear(3, 3).double())
    return net


@fault("warning", "basic", "", "All parameters are frozen")
def frozen():
    return chain().requires_grad_(False)


@fault("warning", "basic", "2", "All weights are zero")
def zero_weights():
    net = chain()
    nn.init.zeros_(net[2].weight)
    return net


@fault("warning", "basic", "0", "All outputs have the same weights")
def constant_weights():
    net = chain()
    nn.init.constant_(net[0].weight, 0.5)
    return net


@fault("warning", "basic", "2", "Weights reach 5e+04")
def huge_weights():
    net = chain()
    with torch.no_grad():
        net[2].weight[0, 0] = 5e4
    return net


@fault("warning", "basic", "contract_norm", "scales all channels by zero")
def zero_norm():
    net = vit()
    nn.init.zeros_(net.backbone.blocks.blocks[0].mlp.contract_norm.weight)
    return net


@fault("warning", "strict", "1", "no running statistics")
def norm_of_each_batch():
    net = vit()
    stem = nn.BatchNorm2d(1, track_running_stats=False)
    net.backbone = nn.Sequential(nn.Identity(), stem, net.backbone)
    net.backbone.image_shape = (1, 8, 8)
    return net


@fault("info", "strict", "expand_norm", "no chip can run it")
def layer_norm():
    return vit(norm="layer")


@pytest.mark.parametrize("planted", faults_of(__name__), ids=str)
def test_parameters_faults_are_found(planted):
    assert_found_from_its_level_on(planted)
