"""An object's description makes an equal one."""

from __future__ import annotations

import copy
import pickle
from functools import partial

import pytest
import torch

from spikeformer.config import Described, FusionConfig, SpikingConfig, describe, instantiate
from spikeformer.encoding import PoissonCoding
from spikeformer.error_handling import ConfigurationError
from spikeformer.models import SpikeDrivenAttention, SpikformerStem, SpikingAttention, SpikingViT
from spikeformer.neurons import LifNeuron, ParametricLifNeuron


class Wide(Described, torch.nn.Module):
    def __init__(self, width, *shape, scale=1.5, **others):
        super().__init__()
        self.seen = (width, shape, scale, others)


def test_arguments_are_written_by_name_with_their_defaults():
    node = Wide(3, other=[1, (2,)]).description
    assert node == {
        "_target_": "tests.config.test_description.Wide",
        "width": 3,
        "scale": 1.5,
        "other": [1, [2]],
    }


@pytest.mark.parametrize(
    "made",
    [
        lambda: PoissonCoding(3, 200.0, seed=4),
        lambda: SpikingViT(
            1,
            (8, 6),
            16,
            2,
            1,
            stem=partial(SpikformerStem, patch_size=2),
            neuron=partial(ParametricLifNeuron, tau_mem=3.0),
            attention=partial(SpikingAttention, mechanism=SpikeDrivenAttention, dropout=0.0),
            residual="sew",
        ),
    ],
)
def test_a_description_makes_an_equal_object(made):
    first = made()
    again = instantiate(first.description)
    assert repr(again) == repr(first)
    assert again.description == first.description
    assert {k: v.shape for k, v in again.state_dict().items()} == {
        k: v.shape for k, v in first.state_dict().items()
    }


def test_copies_and_pickles_keep_the_description():
    first = PoissonCoding(3, seed=4)
    for other in (copy.deepcopy(first), copy.copy(first), pickle.loads(pickle.dumps(first))):
        assert other.description == first.description


def test_what_no_file_can_name_is_refused_when_it_is_asked_for():
    encoder = Wide(lambda x: x)
    with pytest.raises(ConfigurationError, match="at the top of a module"):
        _ = encoder.description
    with pytest.raises(ConfigurationError, match="that a file can name, but got Tensor"):
        describe(torch.zeros(2))


def test_classes_and_dataclasses():
    assert describe(LifNeuron) == {"_target_": "spikeformer.neurons.LifNeuron", "_partial_": True}
    for config in (SpikingConfig(timesteps=3), FusionConfig(num_heads=2)):
        assert instantiate(describe(config)) == config
