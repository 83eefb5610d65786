from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.data import TensorBatches
from spikeformer.error_handling import ArgumentError, DataError
from spikeformer.models import ClassificationHead, SpikingNetwork, SpikingViT
from spikeformer.research import ElasticWeightConsolidation, empirical_fisher
from spikeformer.research.fisher import flatten
from spikeformer.training import get_loss
from tests.training.toys import toy_net

CROSS_ENTROPY = get_loss("cross_entropy")


def small_vit():
    backbone = SpikingViT(1, 4, 8, 2, 1, timesteps=2, stem_strides=[2])
    return SpikingNetwork(backbone, ClassificationHead(8, 3))


def brute_force(model, samples, criterion):
    """The definition: one backward pass a sample, gradients read from the parameters."""
    model.eval()
    total = 0
    for x, y in samples:
        model.zero_grad()
        criterion(model(x[None]), y[None]).backward()
        total = total + torch.cat([p.grad.flatten() for p in model.parameters()]) ** 2
    model.zero_grad()
    return total / len(samples)


def test_ewc_penalty_over_several_tasks():
    model = toy_net()
    ewc = ElasticWeightConsolidation(model, strength=3.0, decay=0.5)
    assert ewc.penalty(model).item() == 0.0
    importance = 0
    for task in range(3):
        batches = [(torch.randn(6, 4), torch.randint(2, (6,)))]
        importance = 0.5 * importance + empirical_fisher(model, batches, CROSS_ENTROPY)
        anchor = flatten(model).detach().clone()
        ewc.consolidate(model, batches, CROSS_ENTROPY)
        assert int(ewc.num_tasks) == task + 1
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        moved = flatten(model).detach() - anchor
        expected = 1.5 * (importance * moved**2).sum()
        penalty = ewc.penalty(model)
        assert penalty.item() == pytest.approx(float(expected), rel=1e-5)
    penalty.backward()
    gradient = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert torch.allclose(gradient, 3.0 * importance * moved, rtol=1e-4, atol=1e-6)


def test_ewc_of_channels_last_weights():
    model = small_vit()
    batches = [(torch.rand(3, 1, 4, 4), torch.randint(3, (3,)))]
    fisher = empirical_fisher(model, batches, CROSS_ENTROPY)
    expected = brute_force(model, list(zip(*batches[0], strict=True)), CROSS_ENTROPY)
    assert torch.allclose(fisher, expected, rtol=1e-4, atol=1e-9)
    ewc = ElasticWeightConsolidation(model)
    ewc.consolidate(model, batches, CROSS_ENTROPY)
    assert ewc.penalty(model).item() == 0.0


def test_ewc_state_is_saved():
    model = toy_net()
    ewc, again = (ElasticWeightConsolidation(model) for _ in range(2))
    ewc.consolidate(model, [(torch.randn(6, 4), torch.randint(2, (6,)))], CROSS_ENTROPY)
    again.load_state_dict(ewc.state_dict())
    with torch.no_grad():
        model.embed.weight.add_(1.0)
    assert torch.equal(ewc.penalty(model), again.penalty(model))
    assert ewc.penalty(model).item() > 0


def test_ewc_of_weights_that_change_their_precision():
    model = toy_net()
    ewc = ElasticWeightConsolidation(model)
    assert ewc.to(torch.bfloat16).penalty(model.to(torch.bfloat16)).item() == 0.0


def test_ewc_refuses_what_makes_no_sense():
    model = toy_net()
    ewc = ElasticWeightConsolidation(model)
    empty = torch.utils.data.DataLoader(TensorBatches(torch.zeros(0, 4), torch.zeros(0)))
    with pytest.raises(DataError, match="at least one sample"):
        ewc.consolidate(model, empty, CROSS_ENTROPY)
    assert int(ewc.num_tasks) == 0
    with pytest.raises(ArgumentError, match="inputs, target"):
        ewc.consolidate(model, [torch.randn(2, 4)], CROSS_ENTROPY)
    batches = [(torch.randn(2, 4), torch.tensor([0, 1]))]
    with pytest.raises(ArgumentError, match="criterion"):
        ewc.consolidate(model, batches, lambda outputs, target: outputs)
    with pytest.raises(ArgumentError, match="no parameter"):
        ewc.consolidate(model, batches, lambda outputs, target: torch.tensor(1.0))
    with pytest.raises(ArgumentError, match="decay"):
        ElasticWeightConsolidation(model, decay=1.5)
    with pytest.raises(ArgumentError, match="strength"):
        ElasticWeightConsolidation(model, strength=-1.0)
    with pytest.raises(ArgumentError, match="parameters to train"):
        ElasticWeightConsolidation(nn.Identity())
    with pytest.raises(ArgumentError, match="max_samples"):
        empirical_fisher(model, batches, CROSS_ENTROPY, 0)


def test_ewc_refuses_parameters_that_are_not_those_it_remembers():
    torch.manual_seed(0)
    model, batches = nn.Linear(3, 2), [(torch.randn(4, 3), torch.tensor([0, 1, 1, 0]))]
    ewc = ElasticWeightConsolidation(model)
    ewc.penalty(nn.Linear(2, 3))  # nothing is remembered yet
    ewc.consolidate(model, batches, nn.functional.cross_entropy)
    renamed = nn.Sequential(nn.Linear(3, 2))
    other_shape = nn.Linear(2, 3, bias=False)
    other_shape.bias = nn.Parameter(torch.zeros(2))  # eight numbers, as before
    frozen = nn.Linear(3, 2)
    frozen.bias.requires_grad_(False)
    for network in (renamed, other_shape, frozen, nn.Linear(3, 1)):
        with pytest.raises(ArgumentError, match=r"'(weight|bias)' of shape"):
            ewc.penalty(network)


@pytest.mark.parametrize("reloaded", [False, True])
def test_ewc_keeps_what_it_remembers_when_the_head_grows(reloaded):
    torch.manual_seed(0)
    model, batches = nn.Linear(3, 2), [(torch.randn(4, 3), torch.tensor([0, 1, 1, 0]))]
    ewc = ElasticWeightConsolidation(model, strength=2.0)
    ewc.consolidate(model, batches, nn.functional.cross_entropy)
    fisher = empirical_fisher(model, batches, nn.functional.cross_entropy)
    grown = nn.Linear(3, 4)
    with torch.no_grad():
        grown.weight[:2], grown.bias[:2] = model.weight + 0.5, model.bias - 1.0
    if reloaded:
        state = ewc.state_dict()
        ewc = ElasticWeightConsolidation(grown, strength=2.0)
        ewc.load_state_dict(state)
    expected = 0.25 * fisher[:6].sum() + 1.0 * fisher[6:].sum()
    assert ewc.penalty(grown).item() == pytest.approx(expected.item(), rel=1e-5)
    ewc.consolidate(grown, batches, nn.functional.cross_entropy)
    added = empirical_fisher(grown, batches, nn.functional.cross_entropy)
    weights = torch.cat([fisher[:6], torch.zeros(6), fisher[6:], torch.zeros(2)]) + added
    torch.testing.assert_close(ewc.importance, weights)
    assert ewc.penalty(grown).item() == 0.0
