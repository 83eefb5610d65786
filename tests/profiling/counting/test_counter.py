from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.error_handling import ArgumentError
from spikeformer.neurons import LifNeuron
from spikeformer.profiling import OperationCounter
from tests.profiling.networks import Call, counted


@pytest.mark.parametrize("training", [True, False])
def test_torchs_own_attention_layer_hides_nothing(training):
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).train(training)
    layers = counted(model, torch.randn(2, 5, 8))
    macs = sum(x.macs + x.skipped_macs for x in layers.values() if x.kind != "norm")
    projections, attention, mlp = 2 * 5 * 8 * 32, 2 * 2 * 5 * 5 * 8, 2 * 2 * 5 * 8 * 16
    assert macs == projections + attention + mlp


def test_counting_changes_nothing():
    model = nn.Sequential(nn.Linear(4, 8), LifNeuron(), nn.Linear(8, 2))
    x = torch.randn(2, 3, 4, requires_grad=True)
    plain = model(x)
    with OperationCounter() as counter:
        watched = model(x)
        watched.sum().backward()
    assert torch.equal(plain, watched)
    gradient, x.grad = x.grad, None
    model(x).sum().backward()
    assert torch.equal(gradient, x.grad)
    forward = counter.works[0].counts()
    with torch.inference_mode(), OperationCounter() as again:
        model(x)
    assert again.works[0].counts() == forward


def test_backward_passes_are_not_counted():
    model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2))
    x = torch.randn(2, 4)

    def checkpointed(model, x):
        return torch.utils.checkpoint.checkpoint(model, x, use_reentrant=False)

    wrapped = Call(checkpointed, model)
    with OperationCounter() as counter:
        wrapped(x).sum().backward()
    assert sum(layer.macs for layer in counter.works[0].counts().layers) == 2 * (32 + 16)
    assert counter.works[0].unpriced == {"gelu": 16}


def test_only_the_models_asked_for():
    one, two = nn.Linear(3, 3), nn.Linear(3, 3)
    with OperationCounter(one) as counter:
        two(one(torch.randn(2, 3)))
    assert [work.model for work in counter.works] == [one]
    with pytest.raises(ArgumentError, match=r"torch\.nn\.Module"):
        OperationCounter("model")


def test_inputs_by_name_or_in_a_mapping():
    model = Call(lambda linear, batch: linear(batch["x"]), nn.Linear(3, 2))
    with OperationCounter() as counter:
        model({"x": torch.randn(5, 3)})
    assert counter.works[0].samples == 5
    inner = nn.Linear(3, 2)

    class ByName(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def forward(self, *, x):
            return self.inner(x)

    with OperationCounter() as counter:
        ByName()(x=torch.randn(4, 3))
    assert counter.works[0].samples == 4


def hooks() -> int:
    module = torch.nn.modules.module
    return len(module._global_forward_hooks) + len(module._global_forward_pre_hooks)


def test_nothing_stays_behind_after_an_error():
    def fail(linear, x):
        linear(x)
        raise RuntimeError("no")

    before, modes = hooks(), torch.utils._python_dispatch._len_torch_dispatch_stack()
    model = Call(fail, nn.Linear(3, 3))
    with pytest.raises(RuntimeError, match="no"), OperationCounter():
        model(torch.randn(2, 3))
    assert hooks() == before
    assert torch.utils._python_dispatch._len_torch_dispatch_stack() == modes
    assert torch.backends.mha.get_fastpath_enabled()
