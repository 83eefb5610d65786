from __future__ import annotations

from functools import partial

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.models import BlockStack, SpikingBlock, SpikingMLP
from spikeformer.neurons import LifNeuron
from tests.models.firing import calibrate

soft = partial(LifNeuron, tau_mem=2.0)
norms = pytest.mark.parametrize("norm", ["batch", "layer"])


@norms
def test_mlp_by_its_layers(norm):
    mlp = SpikingMLP(6, 10, neuron=soft, threshold=0.5, norm=norm)
    x = (torch.rand(2, 3, 4, 6) < 0.4).float()
    calibrate(mlp, x)
    hidden = mlp.neuron(mlp.expand_norm(mlp.expand(x)))
    assert 0 < hidden.mean() < 1
    torch.testing.assert_close(mlp(x), mlp.contract_norm(mlp.contract(hidden)))
    assert (mlp.expand.bias is None) == (norm == "batch")  # a batch norm has its own


@norms
def test_membrane_shortcut_by_its_equation(norm):
    block = SpikingBlock(8, 2, 3, neuron=soft, threshold=0.5, norm=norm)
    x = torch.randn(2, 3, 4, 8)
    calibrate(block, x)
    y = x + block.attention(block.attention_neuron(x))
    torch.testing.assert_close(block(x), y + block.mlp(block.mlp_neuron(y)))


@norms
def test_sew_by_its_equation(norm):
    block = SpikingBlock(8, 2, 3, neuron=soft, threshold=0.5, residual="sew", norm=norm)
    x = (torch.rand(2, 3, 4, 8) < 0.4).float()
    calibrate(block, x)
    y = x + block.attention_neuron(block.attention(x))
    out = block(x)
    assert torch.equal(out, y + block.mlp_neuron(block.mlp(y)))
    assert out.max() > 1


def test_sew_takes_sums_of_spikes():
    """A 2 counts twice in the gradient of the weights, so the layers must not keep it as a bit."""
    x = torch.randint(3, (2, 3, 4, 8), generator=torch.Generator().manual_seed(1)).float()
    gradients = []
    for backend in ("auto", "reference"):
        torch.manual_seed(0)
        neuron = partial(soft, backend=backend)
        block = SpikingBlock(8, 2, 3, neuron=neuron, threshold=0.5, residual="sew")
        calibrate(block, x)
        block(x).square().sum().backward()
        gradients.append({name: p.grad for name, p in block.named_parameters()})
    assert gradients[1]["attention.qkv.weight"].abs().max() > 0
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("residual", ["membrane", "sew"])
@pytest.mark.parametrize("embedding_fires", [False, True])
def test_a_stack_of_blocks_has_a_neuron_where_it_needs_one(residual, embedding_fires):
    stack = BlockStack.of(
        2,
        8,
        2,
        3,
        neuron=soft,
        threshold=0.5,
        residual=residual,
        embedding_fires=embedding_fires,
        norm="layer",
    )
    assert (stack.neuron is None) == (residual == "sew" and embedding_fires)
    assert [block.mlp.expand.bias is not None for block in stack.blocks] == [True, True]


@pytest.mark.parametrize("residual", ["membrane", "sew"])
def test_a_stack_fires_on_the_right_side(residual):
    blocks = [SpikingBlock(8, 2, 3, neuron=soft, threshold=0.5, residual=residual) for _ in "ab"]
    stack = BlockStack(blocks, soft(threshold=0.5))
    x = torch.randn(2, 3, 4, 8)
    calibrate(stack, x)
    if residual == "sew":
        expected = blocks[1](blocks[0](stack.neuron(x)))
    else:
        expected = stack.neuron(blocks[1](blocks[0](x)))
        assert set(expected.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(stack(x), expected)


def test_an_empty_stack_fires():
    neuron = soft(threshold=0.5)
    x = torch.randn(2, 3, 4, 8)
    assert torch.equal(BlockStack([], neuron)(x), neuron(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"residual": "add"}, "`residual`.*'membrane', 'sew'"),
        ({"mlp_ratio": 0.0}, "`mlp_ratio`"),
        ({"dropout": -0.1}, "`dropout`"),
        ({"threshold": -1.0}, "`threshold`"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        SpikingBlock(8, 2, 3, **arguments)


def test_an_mlp_with_a_shortcut_adds_the_stream_behind_both_layers():
    block = SpikingBlock(8, 2, 3, mlp_ratio=1, mlp_shortcut=True, neuron=soft, threshold=0.5)
    x = torch.randn(2, 3, 4, 8)
    calibrate(block, x)
    y = x + block.attention(block.attention_neuron(x))
    mlp = block.mlp
    hidden = y + mlp.expand_norm(mlp.expand(block.mlp_neuron(y)))
    expected = hidden + mlp.contract_norm(mlp.contract(mlp.neuron(hidden)))
    torch.testing.assert_close(block(x), expected)
    for options in ({"mlp_ratio": 2}, {"mlp_ratio": 1, "residual": "sew"}):
        with pytest.raises(ArgumentError, match="mlp_shortcut"):
            SpikingBlock(8, 2, 3, mlp_shortcut=True, **options)
