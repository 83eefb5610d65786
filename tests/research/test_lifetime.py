from __future__ import annotations

import pytest
import torch

from spikeformer.error_handling import ConfigurationError, DataError
from spikeformer.models import CausalLMHead, ClassificationHead, SpikingTransformer
from spikeformer.research import LifetimeLearningSpikingTransformer
from spikeformer.training import get_loss

SIZE = {"vocab_size": 20, "d_model": 8, "nhead": 2, "num_layers": 1, "timesteps": 2}
CROSS_ENTROPY = get_loss("cross_entropy")


def model_with(head=None, **arguments):
    return LifetimeLearningSpikingTransformer(**SIZE, head=head, **arguments)


def batch(samples=6, classes=3):
    return torch.randint(20, (samples, 5)), torch.randint(classes, (samples,))


def test_lifetime_learning_is_a_spiking_transformer():
    torch.manual_seed(1)
    ours = model_with().eval()
    torch.manual_seed(1)
    plain = SpikingTransformer(**SIZE).eval()
    tokens = torch.randint(20, (2, 5))
    assert isinstance(ours, SpikingTransformer)
    assert torch.equal(ours(tokens), plain(tokens))


@pytest.mark.parametrize(
    ("head", "loss", "target"),
    [
        (ClassificationHead(8, 3), "cross_entropy", torch.randint(3, (4,))),
        (CausalLMHead(8, 20), "next_token", torch.randint(20, (4, 5))),
        (None, None, torch.rand(4, 2, 5, 8)),
    ],
)
def test_lifetime_learning_any_head_over_several_tasks(head, loss, target):
    model = model_with(head)
    criterion = torch.nn.functional.mse_loss if loss is None else get_loss(loss)
    loader = [({"input_ids": torch.randint(20, (4, 5)), "mask": torch.ones(4, 5) > 0}, target)]
    for task in range(2):
        model.begin_new_task()
        assert (model.ewc_loss().item() > 0) is (task > 0)
        model.estimate_parameter_importance(loader, criterion)
        assert model.ewc_loss().item() == 0.0
        with torch.no_grad():
            model.blocks.blocks[0].mlp.contract.weight.add_(0.1)
    assert int(model.ewc.num_tasks) == 2


def test_lifetime_learning_loss_keeps_what_matters_in_place():
    """One task drives the weights; with the penalty those important to the other move less."""
    moved = {}
    for held in (False, True):
        torch.manual_seed(0)
        model = model_with(ClassificationHead(8, 3), ewc_strength=0.0, dropout=0.0)
        model.begin_new_task()
        model.estimate_parameter_importance([batch()], CROSS_ENTROPY)
        model.begin_new_task()
        ewc, lr = model.ewc, 1e-3
        if held:  # as firmly as gradient descent with this learning rate stays stable
            ewc.strength = 0.5 / (lr * float(ewc.importance.max()))
        optimizer = torch.optim.SGD(model.parameters(), lr)
        tokens, target = batch()
        for _ in range(10):
            optimizer.zero_grad()
            (CROSS_ENTROPY(model(tokens), target) + model.ewc_loss()).backward()
            optimizer.step()
        distance = torch.cat([p.detach().flatten() for p in model.parameters()]) - ewc.anchor
        moved[held] = float((ewc.importance * distance.square()).sum())
    assert moved[True] < 0.7 * moved[False]


def test_lifetime_learning_checkpoint_carries_everything(tmp_path):
    model = model_with(ClassificationHead(8, 3))
    model.begin_new_task()
    model.estimate_parameter_importance([batch()], CROSS_ENTROPY)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    again = model_with(ClassificationHead(8, 3))
    again.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    for each in (model, again):
        with torch.no_grad():
            each.head.readout.weight.add_(0.5)
    assert model.ewc_loss().item() == again.ewc_loss().item() > 0
    with pytest.raises(ConfigurationError, match="begin_new_task"):
        again.estimate_parameter_importance([batch()], CROSS_ENTROPY)
    again.begin_new_task()
    again.estimate_parameter_importance([batch()], CROSS_ENTROPY)
    assert int(again.ewc.num_tasks) == 2


def test_lifetime_learning_importance_needs_a_task_and_samples():
    model = model_with(ClassificationHead(8, 3))
    with pytest.raises(ConfigurationError, match="no task"):
        model.estimate_parameter_importance([batch()], CROSS_ENTROPY)
    model.begin_new_task()
    with pytest.raises(DataError, match="at least one sample"):
        model.estimate_parameter_importance([], CROSS_ENTROPY)
    model.estimate_parameter_importance([batch()], CROSS_ENTROPY)
    with pytest.raises(ConfigurationError, match="count twice"):
        model.estimate_parameter_importance([batch()], CROSS_ENTROPY)
