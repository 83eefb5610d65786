"""Keys and values per timestep, apart from any network; `test_generation.py` has them in one."""

from __future__ import annotations

import pytest
import torch
from transformers import DynamicCache, EncoderDecoderCache

from spikeformer.conversion.cache import StepCache, find_cache, is_cache, replace_cache
from spikeformer.error_handling import ConversionError


def keys(first, steps, tokens):
    """Keys (batch, timesteps, heads, tokens, channels) that tell their timestep and token."""
    times = torch.arange(first, first + steps).view(1, -1, 1, 1, 1)
    return (10.0 * times + torch.arange(tokens).view(1, 1, 1, -1, 1)).expand(2, -1, 3, -1, 4)


def call(cache, timesteps, chunk, new):
    """A call in which every timestep adds `new` tokens, with the number of the timestep."""
    steps = StepCache(cache, timesteps)
    for first in range(1, timesteps + 1, chunk):
        width = min(chunk, timesteps + 1 - first)

        def one(step, kept, steps=steps):
            held = steps.fill(kept) or DynamicCache()
            added = step.float().view(1, 1, 1, 1).expand(2, 3, new, 4)
            held.update(added, -added, 0)
            return steps.take([held])

        over_time = torch.vmap(one, (0, 1), 1)
        steps.add(over_time(torch.arange(first, first + width), steps.chunk(first, width)))
    return steps.finish()


@pytest.mark.parametrize("chunk", [1, 2, 3, 5])
def test_calls_add_up_whatever_the_chunks(chunk):
    cache = call(None, 5, chunk, 2)
    assert call(cache, 5, chunk, 1) is cache
    layer = cache.layers[0]
    wanted = torch.arange(1.0, 6.0).view(1, 5, 1, 1, 1).expand(2, 5, 3, 3, 4)
    assert torch.equal(layer.keys, wanted)
    assert torch.equal(layer.values, -wanted)
    assert cache.get_seq_length() == 3


def test_a_call_that_fails_leaves_the_cache_alone():
    cache = call(None, 4, 2, 2)
    steps = StepCache(cache, 4)
    steps.fill([x.select(1, 0) for x in steps.chunk(1, 1)]).update(*torch.ones(2, 2, 3, 1, 4), 0)
    assert cache.layers[0].keys.shape == (2, 4, 3, 2, 4)


def test_rows_are_reordered_and_cut_with_all_their_timesteps():
    cache = DynamicCache()
    cache.update(keys(1, 3, 5), keys(1, 3, 5), 0)
    cache.layers[0].keys[1] += 100
    cache.reorder_cache(torch.tensor([1, 1]))
    cache.crop(-2)
    assert torch.equal(cache.layers[0].keys[0], keys(1, 3, 3)[0] + 100)
    assert torch.equal(StepCache(cache, 3).chunk(2, 1)[1], keys(2, 1, 3))


def test_two_caches_of_an_encoder_and_a_decoder_are_one():
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    cache.self_attention_cache.update(keys(1, 2, 3), keys(1, 2, 3), 0)
    cache.cross_attention_cache.update(keys(1, 2, 7), keys(1, 2, 7), 0)
    steps = StepCache(cache, 2)
    assert [x.shape[3] for x in steps.chunk(1, 2)] == [3, 3, 7, 7]
    copied = steps.fill([x.select(1, 0) for x in steps.chunk(1, 1)])
    copied.is_updated[0] = True
    assert cache.is_updated == {}
    assert copied.cross_attention_cache.layers[0].keys.shape == (2, 3, 7, 4)


def test_caches_are_found_and_replaced_by_their_type():
    cache, other = DynamicCache(), DynamicCache()
    assert find_cache((1, "text", cache)) is find_cache({"a": 1, "b": cache}) is cache
    assert find_cache([torch.ones(1)]) is find_cache(torch.ones(1)) is None
    assert replace_cache(((1, cache), {"cache": cache}), other) == ((1, other), {"cache": other})
    assert not is_cache([cache])


def test_what_cannot_hold_timesteps_is_refused():
    offloading = DynamicCache()
    offloading.offloading = True  # its constructor wants a stream, which takes a device
    with pytest.raises(ConversionError, match="DynamicCache that offloads"):
        StepCache(offloading, 4)
    sliding = DynamicCache()
    sliding.update(keys(1, 2, 3), keys(1, 2, 3), 0)
    sliding.layers[0].record_past = True
    with pytest.raises(ConversionError, match="take back tokens"):
        StepCache(sliding, 2)
