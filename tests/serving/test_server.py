"""What every server does with what goes wrong."""

from __future__ import annotations

import pytest
from torch import nn

pytest.importorskip("aiohttp", reason="the extra serve is not installed")

from spikeformer.serving import Predictor, make_app
from tests.serving.test_app import ask


class Picky(nn.Module):
    """Fails as it is told to by the first value of its input."""

    def forward(self, x):
        if x[0, 0] == 1:
            raise ValueError("a shape\nand more")
        if x[0, 0] == 2:
            raise RuntimeError("/home/somebody/secret.py")
        return x[:, None]


def test_faults_of_input_and_of_network_are_told_apart():
    async def work(client):
        found = []
        for value in (0, 1, 2):
            answer = await client.post("/predict", json={"inputs": [[value]]})
            found.append((answer.status, await answer.json()))
        return found

    good, input_, network = ask(make_app(Predictor("x", Picky())), work)
    assert good[0] == 200
    assert good[1]["predictions"] == [{"outputs": [0.0], "timesteps": 1}]
    assert input_ == (400, {"error": "The network does not take this: a shape"})
    assert network == (500, {"error": "The network failed with RuntimeError."})  # and no more
