from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from spikeformer.conversion import SpikeformerConverter
from spikeformer.conversion.coding.coding import Coding
from spikeformer.conversion.coding.forms import form_of, gelu, group, layer_norm, softmax
from spikeformer.error_handling import ArgumentError
from tests.conversion.networks import images, vit_classifier

EXACT = {
    "copy": lambda x: x,
    "exp": torch.exp,
    "gelu": F.gelu,
    "reciprocal": torch.reciprocal,
    "rsqrt": torch.rsqrt,
}


@pytest.mark.parametrize("name", EXACT)
def test_gradients_are_those_of_the_exact_function_over_timesteps_too(name):
    x = (torch.rand(3, 5, dtype=torch.float64) + 0.1).requires_grad_()
    weights = torch.rand(3, 5, dtype=torch.float64)
    over_time = torch.vmap(lambda row: group(name, row))
    assert torch.equal(over_time(x), group(name, x))
    ours = torch.autograd.grad((over_time(x) * weights).sum(), x)[0]
    theirs = torch.autograd.grad((EXACT[name](x) * weights).sum(), x)[0]
    torch.testing.assert_close(ours, theirs)


def test_forms_are_torch_functions_but_for_the_steps_of_their_groups():
    torch.manual_seed(0)
    x, weight, bias = 3 * torch.randn(4, 7, 12), torch.randn(12), torch.randn(12)
    masked = x.masked_fill(torch.rand(x.shape) < 0.2, -torch.inf)
    for given in (x, masked):
        torch.testing.assert_close(
            softmax(group, given, dim=-1), given.softmax(dim=-1), rtol=0.04, atol=1e-6
        )
    ours = layer_norm(group, x, (12,), weight, bias, 1e-5)
    plain = (ours - bias) / weight
    torch.testing.assert_close(plain, F.layer_norm(x, (12,)), rtol=0.016, atol=1e-5)
    torch.testing.assert_close(gelu(group, x, approximate="tanh"), F.gelu(x), rtol=0, atol=0.006)
    exact = {"run": lambda name, x: EXACT[name](x)}
    torch.testing.assert_close(softmax(input=x, dim=1, **exact), x.softmax(dim=1))
    torch.testing.assert_close(
        layer_norm(input=x, normalized_shape=(7, 12), **exact), F.layer_norm(x, (7, 12))
    )


def test_only_spiking_functions_have_forms():
    assert form_of(Coding(), F.softmax) is None
    assert form_of(Coding(functions="spiking"), torch.tanh) is None
    assert form_of(Coding(functions="spiking"), torch.Tensor.softmax) is softmax
    with pytest.raises(ArgumentError, match="functions"):
        SpikeformerConverter(functions="host")


def test_a_network_with_spiking_functions_stays_near_its_original():
    torch.manual_seed(0)
    net, inputs = vit_classifier(), images()
    exact, spiking = (
        SpikeformerConverter(8, functions=functions).convert(net, inputs)
        for functions in ("exact", "spiking")
    )
    with torch.no_grad():
        wanted = net(**inputs).logits
        errors = [
            float((snn(**inputs).logits - wanted).norm() / wanted.norm())
            for snn in (exact, spiking)
        ]
    assert errors[0] < errors[1] < 0.05
