"""Codings whose data bring the network's time along."""

from __future__ import annotations

import pytest
import torch

from spikeformer.encoding import EventCoding, FrameCoding
from spikeformer.error_handling import SpikingDynamicsError
from spikeformer.models import SpikingViT

kinds = pytest.mark.parametrize("kind", [EventCoding, FrameCoding])


@kinds
@pytest.mark.parametrize("shape", [(2, 3), (0, 3, 4), (1, 3, 2, 7, 5)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_events_pass_unchanged(kind, shape, dtype):
    x = torch.randint(2, shape).to(dtype)
    assert torch.equal(kind(3).encode(x), x)
    assert kind(3).encode(x).dtype == dtype


@kinds
def test_the_time_axis_belongs_to_a_sample(kind):
    assert kind(5).sample_shape((2, 7, 9)) == (5, 2, 7, 9)


@kinds
@pytest.mark.parametrize("shape", [(4,), (4, 2), (4, 1, 3)])
def test_other_numbers_of_steps_are_refused(kind, shape):
    with pytest.raises(SpikingDynamicsError, match=r"\(batch, 3, \.\.\.\).*as the network has"):
        kind(3).encode(torch.zeros(shape))


def test_several_events_are_one_spike_on_request_only():
    counts = torch.tensor([[0.0, 3.0, 1.0]])
    assert EventCoding(3, clamp=True).encode(counts).tolist() == [[0.0, 1.0, 1.0]]
    with pytest.raises(SpikingDynamicsError, match="from 0 to 3"):
        EventCoding(3).encode(counts)


@pytest.mark.parametrize("clamp", [False, True])
def test_fractions_are_no_events(clamp):
    with pytest.raises(SpikingDynamicsError, match=r"fractions.*FrameCoding"):
        EventCoding(1, clamp=clamp).encode(torch.tensor([[0.5]]))


def test_frames_take_any_numbers_but_nan():
    x = torch.tensor([[-2.5, 7.0]])
    assert torch.equal(FrameCoding(2).encode(x), x)
    with pytest.raises(SpikingDynamicsError, match="nan"):
        FrameCoding(1).encode(torch.tensor([[torch.nan]]))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    options = {"threshold": 0.1, "stem_strides": [1, 2], "encoding": EventCoding(4)}
    return SpikingViT(2, (6, 8), d_model=16, nhead=2, num_layers=1, timesteps=4, **options).eval()


def test_the_networks_steps_are_those_of_the_data(model):
    events = (torch.rand(3, 4, 2, 6, 8) < 0.3).float()
    later = events.clone()
    later[:, 2:] = 1 - later[:, 2:]
    with torch.no_grad():
        features, others = model(events), model(later)
    assert features.shape == (3, 4, 12, 16)
    assert torch.equal(features[:, :2], others[:, :2])
    assert not torch.equal(features[:, 2:], others[:, 2:])
    assert model.image_shape == (4, 2, 6, 8)


@pytest.mark.parametrize(
    ("shape", "remedy"),
    [((1, 2, 6, 8), "encoding=direct"), ((1, 3, 2, 6, 8), "but got"), ((1, 4, 2, 8, 6), "but got")],
)
def test_a_network_for_events_refuses_other_shapes(model, shape, remedy):
    with pytest.raises(SpikingDynamicsError, match=rf"\(batch, 4, 2, 6, 8\).*{remedy}"):
        model(torch.zeros(shape))


def test_a_network_for_images_names_the_encoding_for_events():
    model = SpikingViT(2, 8, d_model=16, nhead=2, num_layers=1, stem_strides=[2])
    with pytest.raises(SpikingDynamicsError, match="encoding=events"):
        model(torch.zeros(1, 4, 2, 8, 8))
