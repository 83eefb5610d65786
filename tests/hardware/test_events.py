from __future__ import annotations

import numpy as np
import torch

from spikeformer.conversion import SpikeformerConverter
from spikeformer.hardware.events import record_events
from tests.hardware.networks import converted


def test_events_add_up_to_the_rates_that_the_network_computes_with():
    """A linear layer's output after t timesteps is that of what its events amount to."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)).eval()
    x = torch.randn(5, 6)
    snn = SpikeformerConverter(6).convert(net, x)
    events, outputs = record_events(snn, [{"input": x[:3]}, {"input": x[3:]}], torch.float64)
    assert events["2"].shape == (5, 6, 8)
    assert events["2"].dtype == np.int32
    theta = snn.thresholds.by_site()["2"].double().numpy()
    sizes = np.abs(events["2"])
    assert set(np.unique(sizes)) <= {0, *(2**i for i in range(8))}
    parts = events["2"] * theta / 128 / np.arange(1, 7)[:, None]
    with torch.no_grad():
        readouts = torch.stack(list(snn.double().readouts(x.double()))).numpy()
    weight, bias = (p.detach().numpy() for p in net[2].double().parameters())
    rates = parts.cumsum(axis=1).swapaxes(0, 1)
    np.testing.assert_allclose(rates @ weight.T + bias, readouts, atol=1e-12)
    np.testing.assert_allclose(readouts[-1], outputs, atol=1e-12)


def test_in_float32_it_is_the_network_as_it_runs():
    snn, inputs = converted()
    _, outputs = record_events(snn, [inputs], torch.float32)
    with torch.no_grad():
        np.testing.assert_array_equal(outputs, snn(**inputs).logits.numpy())
    assert snn.original.classifier.weight.dtype == torch.float32  # it was copied
