from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from spikeformer.encoding import DirectCoding, LatencyCoding, PoissonCoding, RateCoding
from spikeformer.error_handling import ArgumentError, SpikingDynamicsError
from spikeformer.models import QKTokenAttention, SpikingAttention, SpikingViT
from spikeformer.neurons import NEURONS, LifNeuron, ParametricLifNeuron
from tests.models.firing import calibrate, recorded
from tests.models.test_mechanisms import MECHANISMS

soft = partial(LifNeuron, tau_mem=2.0, surrogate_type="atan")
mechanisms = pytest.mark.parametrize("mechanism", MECHANISMS)
norms = pytest.mark.parametrize("norm", ["batch", "layer"])
residuals = pytest.mark.parametrize("residual", ["membrane", "sew"])


def vit(mechanism=QKTokenAttention, **arguments):
    defaults = {
        "in_channels": 2,
        "image_size": (6, 8),
        "d_model": 8,
        "nhead": 2,
        "num_layers": 2,
        "timesteps": 3,
        "threshold": 0.5,
        "stem_strides": (1, 2),
        "neuron": soft,
        "attention": partial(SpikingAttention, mechanism=mechanism, dropout=0.0),
    }
    return SpikingViT(**{**defaults, **arguments})


@pytest.mark.parametrize(
    ("size", "strides", "grid"),
    [(8, (1, 2, 2), (2, 2)), ((6, 8), (2,), (3, 4)), ([5, 3], (1, 2), (3, 2)), (1, (1,), (1, 1))],
)
def test_shapes(size, strides, grid):
    model = vit(image_size=size, stem_strides=strides).eval()
    height, width = (size, size) if isinstance(size, int) else size
    assert model.grid_size == grid
    assert model(torch.rand(3, 2, height, width)).shape == (3, 3, grid[0] * grid[1], 8)


@residuals
@mechanisms
def test_is_its_stem_and_its_blocks(mechanism, residual):
    images = torch.rand(2, 2, 6, 8)
    model = calibrate(vit(mechanism, residual=residual), images)
    with torch.no_grad():
        # The long way round: every timestep through the first convolution.
        expected = model.blocks(model.stem(DirectCoding(3)(images)))
        features = model(images)
    assert features.mean() > 0
    assert torch.equal(features, expected)


@mechanisms
@norms
def test_messages_between_layers_are_binary_with_membrane_shortcuts(mechanism, norm):
    images = torch.rand(4, 2, 6, 8)
    model = calibrate(vit(mechanism, norm=norm), images)
    with recorded(model, nn.Linear, nn.Conv2d) as seen:
        features = model(images)
    first = seen.pop("stem.convs.0.conv")
    assert first[0].unique().numel() > 2
    assert len(seen) == 2 + 4 * 2
    for name, (message, _) in seen.items():
        assert set(message.unique().tolist()) == {0.0, 1.0}, name
    assert set(features.unique().tolist()) == {0.0, 1.0}


@mechanisms
@norms
def test_messages_are_small_integers_with_sew(mechanism, norm):
    images = torch.rand(4, 2, 6, 8)
    model = calibrate(vit(mechanism, residual="sew", norm=norm), images)
    with recorded(model, nn.Linear) as seen:
        features = model(images)
    for name, (message, _) in seen.items():
        assert torch.equal(message, message.round()), name
        assert message.min() >= 0
        assert message.max() <= 1 + 2 * len(model.blocks.blocks), name
    assert features.max() > 1


@pytest.mark.parametrize(
    "kind", [RateCoding, LatencyCoding, partial(PoissonCoding, max_rate=900.0)]
)
def test_any_encoding(kind):
    images = torch.rand(2, 2, 6, 8)
    model = calibrate(vit(encoding=kind(3)), images)
    seen = []
    handle = model.stem.register_forward_hook(lambda m, args, out: seen.append(args[0]))
    model(images)
    handle.remove()
    assert seen[0].shape == (2, 3, 2, 6, 8)
    assert set(seen[0].unique().tolist()) == {0.0, 1.0}
    if kind is not RateCoding:
        return
    assert torch.equal(seen[0], RateCoding(3).encode(images))
    with pytest.raises(SpikingDynamicsError, match="values from 0"):
        model(2 * images)


@pytest.mark.parametrize("neuron", NEURONS.values(), ids=NEURONS)
@residuals
@norms
def test_gradients_reach_every_parameter(neuron, residual, norm):
    surrogate = {} if neuron is NEURONS["ILIF"] else {"surrogate_type": "atan"}
    model = vit(
        MECHANISMS[2],
        neuron=partial(neuron, tau_mem=2.0, **surrogate),
        residual=residual,
        norm=norm,
    )
    features = model(torch.rand(4, 2, 6, 8))
    (features * torch.randn_like(features)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@mechanisms
def test_gradients_reach_every_parameter_of_each_mechanism(mechanism):
    model = vit(mechanism, neuron=partial(ParametricLifNeuron, surrogate_type="atan"))
    features = model(torch.rand(4, 2, 6, 8))
    (features * torch.randn_like(features)).sum().backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert silent == []


@mechanisms
def test_state_dict_round_trip(mechanism):
    images = torch.rand(2, 2, 6, 8)
    model, other = calibrate(vit(mechanism), images), vit(mechanism)
    other.load_state_dict(model.state_dict())
    assert model(images).sum() > 0
    assert torch.equal(other.eval()(images), model(images))


def test_samples_do_not_mix_in_eval_mode():
    images = torch.rand(4, 2, 6, 8)
    model = calibrate(vit(MECHANISMS[2]), images)
    for index in range(4):
        assert torch.equal(model(images[index : index + 1])[0], model(images)[index])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype):
    model = vit(MECHANISMS[2])
    with torch.autocast("cpu", dtype):
        features = model(torch.rand(2, 2, 6, 8))
        loss = (features.float() * torch.randn(features.shape)).sum()
    loss.backward()
    assert set(features.unique().tolist()) <= {0.0, 1.0}
    assert all(p.grad.isfinite().all() and p.grad.dtype == p.dtype for p in model.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@mechanisms
def test_trains_with_weights_in_half_precision(mechanism, dtype):
    """As with `trainer.precision=bf16-true`, which makes the dtype torch's default."""
    torch.set_default_dtype(dtype)
    try:
        model = vit(mechanism)
        images = torch.rand(3, 2, 6, 8)
        out = model(images)
        out.float().square().sum().backward()
    finally:
        torch.set_default_dtype(torch.float32)
    assert out.dtype == dtype
    for name, parameter in model.named_parameters():
        assert parameter.dtype == parameter.grad.dtype == dtype, name
        assert parameter.grad.isfinite().all(), name
    assert all(value.isfinite().all() for value in model.state_dict().values())


@pytest.mark.parametrize("shape", [(2, 3, 6, 8), (2, 2, 8, 6), (2, 6, 8), (2, 1, 2, 6, 8)])
def test_other_image_shapes_are_refused(shape):
    with pytest.raises(SpikingDynamicsError, match=r"\(batch, 2, 6, 8\), but got"):
        vit()(torch.rand(shape))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nhead": 3}, "`d_model` to be divisible by nhead=3"),
        ({"d_model": 10, "stem_strides": (1, 2, 2)}, "`d_model` to be divisible by 4"),
        ({"image_size": 0}, "`image_size`"),
        ({"image_size": (4, 4, 4)}, "`image_size`.*a height and a width"),
        ({"in_channels": 0}, "`in_channels`"),
        ({"num_layers": -1}, "`num_layers`"),
        ({"timesteps": 0}, "`timesteps`"),
        ({"threshold": 0.0}, "`threshold`"),
        ({"dropout": 2.0}, "`dropout`"),
        ({"mlp_ratio": -1.0}, "`mlp_ratio`"),
        ({"residual": "none"}, "`residual`"),
        ({"norm": "none"}, "`norm`"),
        ({"encoding": RateCoding(4)}, "`encoding`.*timesteps=3"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        vit(**arguments)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_traced_network_is_the_network():
    network = vit().eval()
    traced = torch.jit.trace(network, torch.rand(2, 2, 6, 8))
    for batch in (2, 5):
        x = 3 * torch.rand(batch, 2, 6, 8)
        assert torch.equal(traced(x), network(x))
