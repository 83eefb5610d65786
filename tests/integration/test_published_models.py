"""Published models, made from their configurations, train alike in one process and in two."""

from __future__ import annotations

import multiprocessing

import pytest
import torch

from tests.forking import forked
from tests.integration import parallel

pytestmark = pytest.mark.slow

FLAT = ("model.d_model=16", "model.nhead=2", "model.num_layers=1", "timesteps=2")
STAGED = ("model.d_model=32", "model.nheads=[2,2,2]", "model.depths=[1,1,1]", "timesteps=2")
MODELS = {
    "spikformer": FLAT,
    "spikingformer": FLAT,
    "spike_driven_transformer": FLAT,
    "qkformer": STAGED,
    "maxformer": STAGED,
    "spike_driven_v3": (
        "model.d_model=16",
        "model.widths=[4,4,8,8,16]",
        "model.nheads=[2,2,2,2,2]",
        "model.depths=[1,1,1,1,1]",
        "timesteps=1",
    ),
    "spike_driven_v3_large": (
        "model.d_model=16",
        "model.widths=[4,4,8,16]",
        "model.nheads=[1,1,1,2]",
        "model.depths=[1,1,1,1]",
        "timesteps=1",
    ),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Gradients of all models: of one process, and as each of two has them."""
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("the processes are forked, which this system cannot do")
    folder = tmp_path_factory.mktemp("parallel")
    forked(parallel.train_all, folder, MODELS)
    return [torch.load(folder / f"{name}.pt") for name in ("alone", "rank0", "rank1")]


@pytest.mark.parametrize("name", MODELS)
def test_two_processes_have_the_gradients_of_the_joined_batch(found, name):
    alone, *ranks = (each[name] for each in found)
    for rank in ranks:
        for step, expected in zip(rank, alone, strict=True):
            assert step.keys() == expected.keys()
            for key, gradient in step.items():
                # A parameter that takes no part would have none, and stop the second step.
                assert gradient is not None, key
                torch.testing.assert_close(gradient, expected[key], rtol=1e-6, atol=1e-10)
    assert all(gradient.any() for gradient in alone[0].values())  # none is a comparison of zeros
