from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from spikeformer.conversion import SpikeformerConverter
from spikeformer.error_handling import ArgumentError, ConversionError
from tests.conversion.networks import images, mlp, vit_classifier


@pytest.fixture
def snn():
    return SpikeformerConverter(timesteps=6).convert(vit_classifier())


def test_every_timestep_can_be_read(snn):
    example = images()
    with torch.no_grad():
        outputs = [output.logits for output in snn.readouts(**example)]
        assert len(outputs) == 6
        for timesteps in (1, 3, 6):
            snn.timesteps = timesteps
            torch.testing.assert_close(snn(**example).logits, outputs[timesteps - 1])


@pytest.mark.parametrize("chunk", [1, 4, 6, 9])
def test_how_many_timesteps_run_together_does_not_matter(snn, chunk):
    example = images()
    with torch.no_grad():
        before = snn(**example).logits
        snn.chunk = chunk
        torch.testing.assert_close(snn(**example).logits, before, atol=2e-4, rtol=1e-3)


def test_memory_does_not_grow_with_time(snn):
    class Largest(torch.overrides.TorchFunctionMode):
        numel = 0

        def __torch_function__(self, func, types, args=(), kwargs=None):
            return func(*args, **(kwargs or {}))

    sizes = []
    for timesteps in (8, 32):
        snn.timesteps, execution = timesteps, snn._execution()
        snn._execution = lambda execution=execution: execution
        with torch.no_grad():
            snn(**images(2))
        kept = list(execution._states.values())
        sizes.append(sum(state.rate.numel() + state.lost.numel() for state in kept))
        del snn._execution
    assert sizes[0] == sizes[1] > 0


def test_gradients_pass_through():
    network = mlp()
    snn = SpikeformerConverter(timesteps=8, neuron_model="IF").convert(network)
    x = torch.randn(16, 6)
    snn(x).square().sum().backward()
    network(x).square().sum().backward()
    for ours, theirs in zip(snn.original.parameters(), network.parameters(), strict=True):
        cosine = torch.cosine_similarity(ours.grad.flatten(), theirs.grad.flatten(), dim=0)
        assert cosine > 0.99


def test_threads_do_not_meet(snn):
    examples = [images(1) for _ in range(6)]

    def run(example):
        with torch.no_grad():
            return snn(**example).logits

    alone = [run(example) for example in examples]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(run, examples))
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one, other)


def test_copies_are_independent(snn):
    example = images()
    other = copy.deepcopy(snn)
    with torch.no_grad():
        before = snn(**example).logits
        other.original.classifier.weight.zero_()
        assert torch.equal(snn(**example).logits, before)
        assert not torch.equal(other(**example).logits, before)


def test_absent_attributes_are_absent(snn):
    assert snn.num_labels == 5
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = snn.nothing_of_the_kind


def test_arguments_are_checked():
    from spikeformer.conversion import Coding, SpikingModel

    with pytest.raises(ArgumentError, match="timesteps"):
        SpikingModel(mlp(), Coding(), 0)
    with pytest.raises(ArgumentError, match="confidence"):
        SpikingModel(mlp(), Coding(), 2, confidence=1.5)


@pytest.mark.parametrize("encoding", ["rate", "radix", "binary"])
@pytest.mark.parametrize("change", ["double", "half", "bfloat16"])
def test_precision_can_be_changed_after_conversion(encoding, change):
    network, x = mlp(), torch.randn(16, 6)
    snn = SpikeformerConverter(16, spike_encoding=encoding, neuron_model="IF").convert(network, x)
    before = snn(x)
    changed = getattr(copy.deepcopy(snn), change)()
    after = changed(getattr(x, change)())
    assert after.dtype == getattr(x, change)().dtype
    # A rounding may move an event, and with it the rate by one level of the smallest size.
    error = (after.float() - before).norm() / before.norm()
    assert error < (0.01 if change == "double" else 0.1)


def test_a_converted_network_runs_uncompiled_inside_a_compiled_one():
    x = torch.randn(4, 6)
    snn = SpikeformerConverter(4).convert(mlp(), x)
    expected = snn(x)
    assert torch.equal(torch.compile(snn, backend="eager")(x), expected)


def test_a_converted_network_cannot_be_traced():
    x = torch.randn(4, 6)
    snn = SpikeformerConverter(4).convert(mlp(), x)
    with pytest.raises(ConversionError, match="cannot be traced or exported"):
        torch.jit.trace(snn, x)
