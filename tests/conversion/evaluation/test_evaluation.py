from __future__ import annotations

import pytest
import torch

from spikeformer.conversion import SpikeformerConverter, evaluate_conversion
from spikeformer.error_handling import ArgumentError
from tests.conversion.networks import mlp

X = torch.randn(60, 6, generator=torch.Generator().manual_seed(0))


def test_accuracy_and_agreement_are_shares_of_samples():
    network = mlp()
    snn = SpikeformerConverter(timesteps=6).convert(network, X)
    with torch.no_grad():
        wanted = network(X).argmax(-1)
        ours = [output.argmax(-1) for output in snn.readouts(X)]
    truth = wanted.clone()
    truth[:15] = (truth[:15] + 1) % 4
    batches = [(X[i : i + 25], truth[i : i + 25]) for i in range(0, 60, 25)]
    result = evaluate_conversion(snn, batches, ["accuracy", "agreement"], original=network)
    assert result.num_samples == 60
    assert result.original_accuracy == pytest.approx(0.75)
    for step, mine in zip(result.steps, ours, strict=True):
        assert step.accuracy == pytest.approx((mine == truth).float().mean().item())
        assert step.agreement == pytest.approx((mine == wanted).float().mean().item())
    assert result.retention == pytest.approx(result.last.accuracy / 0.75)
    assert result.last.energy_uj is None
    assert result.seconds is None


def test_energy_grows_with_time_and_has_bounds():
    snn = SpikeformerConverter(timesteps=5).convert(mlp())
    result = evaluate_conversion(snn, [X])
    energies = [step.energy_uj for step in result.steps]
    assert all(low <= value <= high for low, value, high in energies)
    values = [value for _, value, _ in energies]
    assert values == sorted(values)
    assert values[0] > 0
    events = [step.events_per_neuron for step in result.steps]
    assert events == sorted(events)
    assert 0 < events[-1] <= 5
    assert result.original_energy_uj[1] > 0
    assert result.seconds > 0
    assert result.to_dict()["steps"][0]["timesteps"] == 1


def test_early_exit_is_measured():
    network = mlp()
    snn = SpikeformerConverter(timesteps=6).convert(network, X)
    snn.confidence = 0.3
    result = evaluate_conversion(snn, [(X, network(X).argmax(-1))], original=network)
    assert 1 <= result.exit_timesteps < 6
    assert 0 < result.exit_agreement <= 1
    assert result.exit_accuracy == result.exit_agreement


def test_batches_of_many_kinds():
    snn = SpikeformerConverter(timesteps=2).convert(mlp())
    labels = torch.zeros(60, dtype=torch.long)
    for batch, has_targets in (
        ((X, labels), True),
        ([X, labels], True),
        ({"input": X, "labels": labels}, True),
        ({"input": X}, False),
        ([X], False),
        (X, False),
    ):
        result = evaluate_conversion(snn, [batch], ["accuracy"])
        assert (result.last.accuracy is not None) == has_targets


def test_only_so_many_samples():
    snn = SpikeformerConverter(timesteps=2).convert(mlp())
    assert evaluate_conversion(snn, [X, X, X], max_samples=61).num_samples == 120


def test_mistakes_are_told():
    snn = SpikeformerConverter(timesteps=2).convert(mlp())
    with pytest.raises(ArgumentError, match="metrics"):
        evaluate_conversion(snn, [X], ["speed"])
    with pytest.raises(ArgumentError, match="empty"):
        evaluate_conversion(snn, [])
