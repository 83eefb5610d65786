"""Language models of `transformers`: converted as they come, and generating with spikes alone."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
import transformers as hf
from transformers import DynamicCache, StaticCache
from transformers.generation.streamers import BaseStreamer

from spikeformer.conversion import (
    ConversionPipeline,
    SpikeformerConverter,
    evaluate_conversion,
)
from spikeformer.conversion.generation import limit
from spikeformer.error_handling import ConversionError
from tests.conversion.networks import bert, relative, vit

SIZE = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 96,
}
GROUPED = {**SIZE, "num_key_value_heads": 2}
SHORT = {"vocab_size": 61, "d_model": 24}
BOTH_SIDES = {
    f"{side}_{what}": number
    for side in ("encoder", "decoder")
    for what, number in (("layers", 1), ("attention_heads", 2), ("ffn_dim", 40))
}
CAUSAL = {
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**GROUPED, tie_word_embeddings=True)),
    "qwen2": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**GROUPED)),
    "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(**GROUPED, head_dim=8)),
    "mistral": lambda: hf.MistralForCausalLM(hf.MistralConfig(**GROUPED, sliding_window=7)),
    "gpt2": lambda: hf.GPT2LMHeadModel(
        hf.GPT2Config(
            vocab_size=61,
            n_embd=32,
            n_layer=1,
            n_head=4,
            n_positions=96,
            bos_token_id=0,
            eos_token_id=0,
        )
    ),
    "gpt_neox": lambda: hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(**SIZE)),
    "opt": lambda: hf.OPTForCausalLM(hf.OPTConfig(**SIZE, ffn_dim=40, word_embed_proj_dim=32)),
    "phi": lambda: hf.PhiForCausalLM(hf.PhiConfig(**SIZE)),
    "gemma": lambda: hf.GemmaForCausalLM(hf.GemmaConfig(**SIZE, num_key_value_heads=1, head_dim=8)),
    "falcon": lambda: hf.FalconForCausalLM(
        hf.FalconConfig(
            vocab_size=61,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=4,
            bos_token_id=0,
            eos_token_id=0,
        )
    ),
}
ENCODED = {
    "t5": lambda: hf.T5ForConditionalGeneration(
        hf.T5Config(**SHORT, d_kv=6, d_ff=40, num_layers=1, num_heads=4)
    ),
    "bart": lambda: hf.BartForConditionalGeneration(
        hf.BartConfig(**SHORT, **BOTH_SIDES, max_position_embeddings=96)
    ),
}


def make(name, **changes):
    torch.manual_seed(3)
    network = {**CAUSAL, **ENCODED}[name]().eval()
    network.generation_config.update(
        eos_token_id=None, bos_token_id=None, pad_token_id=0, **changes
    )
    return network


def prompts(rows=2, tokens=11):
    return torch.randint(3, 61, (rows, tokens), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def llama():
    return SpikeformerConverter(timesteps=4).convert(make("llama"))


@pytest.mark.filterwarnings("ignore:.*attention implementation:UserWarning")
@pytest.mark.parametrize("name", [*CAUSAL, *ENCODED])
@torch.no_grad()
def test_every_family_is_converted_as_it_comes(name):
    network = make(name)
    inputs = {"input_ids": prompts(tokens=19)}
    if name in ENCODED:
        inputs["decoder_input_ids"] = prompts(tokens=7)
    snn = SpikeformerConverter(timesteps=8).convert(network)
    wanted = network(**inputs).logits
    assert relative(snn(**inputs).logits, wanted) < 0.005
    for output in snn.without_neurons(**inputs):
        assert relative(output.logits, wanted) < 1e-4


@pytest.mark.parametrize("name", ["llama", "mistral", "gpt2"])
@torch.no_grad()
def test_generation_with_a_cache_is_computing_it_all_once_more(name):
    """Mistral's window of 7 tokens slides on the way."""
    snn = SpikeformerConverter(timesteps=3).convert(make(name))
    ids = prompts(tokens=9)
    texts = snn.generate(ids, max_new_tokens=64, do_sample=False)
    assert texts.shape == (2, 73)
    logits = snn(input_ids=texts, use_cache=False).logits
    assert torch.equal(logits[:, 8:-1].argmax(dim=-1), texts[:, 9:])


@torch.no_grad()
def test_a_cache_holds_keys_and_values_of_every_timestep(llama):
    ids, cache = prompts(), DynamicCache(config=llama.config)
    first = llama(input_ids=ids[:, :6], cache=cache)
    second = llama(input_ids=ids[:, 6:], cache=first.cache)
    assert second.cache is cache
    assert cache.layers[0].keys.shape == (2, 4, 2, 11, 8)
    whole = llama(input_ids=ids)
    assert relative(second.logits, whole.logits[:, 6:]) < 1e-5
    assert relative(whole.cache.layers[0].values, cache.layers[0].values) < 1e-5
    # They differ in time: the spikes of early timesteps say less.
    assert not torch.equal(cache.layers[0].keys[:, 0], cache.layers[0].keys[:, 3])


@torch.no_grad()
def test_radix_coding_keeps_one_set():
    snn = SpikeformerConverter(timesteps=8, spike_encoding="radix").convert(make("llama"))
    ids = prompts()
    cached = snn.generate(ids, max_new_tokens=6, do_sample=False)
    assert torch.equal(
        cached, snn.generate(ids, max_new_tokens=6, do_sample=False, use_cache=False)
    )


@torch.no_grad()
def test_beams_and_samples_are_those_of_recomputation(llama):
    ids = prompts()
    for how in ({"num_beams": 3}, {"do_sample": True, "num_return_sequences": 2}):
        texts = []
        for use_cache in (True, False):
            torch.manual_seed(5)
            texts.append(llama.generate(ids, max_new_tokens=6, use_cache=use_cache, **how))
        assert torch.equal(*texts)


@torch.no_grad()
def test_padding_on_the_left_changes_nothing(llama):
    short = prompts(1, 5)
    batch = torch.cat([torch.cat([torch.zeros(1, 6, dtype=torch.long), short], 1), prompts(1)])
    mask = torch.ones_like(batch)
    mask[0, :6] = 0
    alone = llama.generate(short, max_new_tokens=8, do_sample=False)
    padded = llama.generate(batch, attention_mask=mask, max_new_tokens=8, do_sample=False)
    assert torch.equal(padded[0, 11:], alone[0, 5:])


@torch.no_grad()
def test_tokens_are_streamed_as_they_come(llama):
    class Collect(BaseStreamer):
        def __init__(self):
            self.values, self.ended = [], False

        def put(self, value):
            self.values += value.flatten().tolist()

        def end(self):
            self.ended = True

    streamer = Collect()
    text = llama.generate(prompts(1), max_new_tokens=5, do_sample=False, streamer=streamer)
    assert streamer.values == text[0].tolist()
    assert streamer.ended


@torch.no_grad()
def test_no_pass_is_that_of_the_original(llama, monkeypatch):
    calls = []
    run = type(llama)._run
    monkeypatch.setattr(type(llama), "_run", lambda self, *a: calls.append(1) or run(self, *a))
    llama.generate(prompts(), max_new_tokens=5, do_sample=False)
    assert len(calls) == 5  # one for the prompt, one for each further token
    with pytest.raises(ConversionError, match="runs the original network"):
        llama.model(prompts())


@torch.no_grad()
def test_a_cache_of_something_else_is_refused(llama):
    ids, original = prompts(), llama.original
    with pytest.raises(ConversionError, match="got a StaticCache of StaticLayer"):
        llama(input_ids=ids, cache=StaticCache(config=llama.config, max_cache_len=20))
    filled = original(input_ids=ids, use_cache=True).cache
    with pytest.raises(ConversionError, match="of 4 timesteps, but got one with none"):
        llama(input_ids=ids, cache=filled)
    filled = llama(input_ids=ids).cache
    llama.timesteps = 3
    try:
        with pytest.raises(ConversionError, match="3 timesteps, but got one with those of 4"):
            llama(input_ids=ids, cache=filled)
    finally:
        llama.timesteps = 4


def test_prompts_that_do_not_fit_are_refused(llama):
    with pytest.raises(ConversionError, match=r"token ids of 0 to 60, but the prompts hold 61\. U"):
        llama.generate(torch.tensor([[3, 61]]), max_new_tokens=1)
    with pytest.raises(
        ConversionError, match=r"at most 96 tokens.*got 11 of the prompt and 90 new"
    ):
        llama.generate(prompts(), max_new_tokens=90)
    with pytest.raises(ConversionError, match="at most 96 tokens"):
        llama.generate(prompts(1, 96))


@pytest.mark.parametrize("network", [vit, bert])
def test_what_is_no_language_model_does_not_generate(network):
    snn = SpikeformerConverter(timesteps=2).convert(network())
    with pytest.raises(ConversionError, match=r"does not generate\. Convert a causal"):
        snn.generate(prompts())


def test_an_encoder_is_not_run_by_itself():
    snn = SpikeformerConverter(timesteps=2).convert(make("t5"))
    with pytest.raises(ConversionError, match="generate of a T5ForConditionalGeneration"):
        snn.generate(prompts(), max_new_tokens=2)


def test_recurrent_models_are_refused_by_name():
    config = hf.MambaConfig(vocab_size=61, hidden_size=16, num_hidden_layers=1, state_size=4)
    with pytest.raises(ConversionError, match=r"MambaForCausalLM.*recurrent state"):
        SpikeformerConverter().convert(hf.MambaForCausalLM(config))


def test_only_configurations_with_positions_have_a_limit():
    assert limit(hf.LlamaConfig(max_position_embeddings=7)) == 7
    assert limit(hf.T5Config()) is None


@torch.no_grad()
def test_evaluation_counts_tokens_as_samples(llama):
    ids = prompts(3, 9)
    result = evaluate_conversion(llama, [{"input_ids": ids}] * 5, max_samples=30)
    assert result.num_samples == 48  # two batches, eight predictions of each text
    surprise = F.cross_entropy(
        llama.original(ids).logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
    )
    assert result.original_perplexity == pytest.approx(surprise.exp().item())
    divergences = [step.divergence for step in result.steps]
    assert divergences == sorted(divergences, reverse=True)
    assert result.last.perplexity == pytest.approx(result.original_perplexity, rel=0.01)
    assert result.bits_per_byte(4.0) is None
    result.num_bytes = 192
    assert result.bits_per_byte(4.0) == pytest.approx(2.0 * 48 / 192)


@torch.no_grad()
def test_a_quick_one_still_generates():
    pipeline = ConversionPipeline(
        [{"input_ids": prompts(3, 12)}], optimization_target="latency", progress=False
    )
    snn = pipeline.convert(make("llama"), 30, 0)
    assert snn.timesteps < 8
    assert snn.confidence is None
    assert {row["levels"] for row in snn.trade_off} == {12, 16, 24}
    assert snn.generate(prompts(1), max_new_tokens=2).shape == (1, 13)


@torch.no_grad()
def test_large_channels_need_no_calibration_of_their_own():
    """A channel that is 500 times the others, as models of real languages have them."""
    network = make("llama")
    network.model.embed_tokens.weight[:, 5] *= 500
    network.lm_head.weight = torch.nn.Parameter(torch.randn(61, 32) * 0.1)
    seen, unseen = prompts(4, 12), torch.randint(3, 61, (4, 40))
    unseen[:, ::3] = 2  # a token that calibration has not shown
    wanted = network(unseen).logits
    errors = {}
    for levels in (8, None):
        converter = SpikeformerConverter(timesteps=8, levels=levels)
        data = [{"input_ids": seen}]
        pipeline = ConversionPipeline(data, converter=converter, progress=False)
        snn = pipeline.convert(network, 40, 0)
        snn.timesteps = 8
        errors[levels] = relative(snn(unseen).logits, wanted)
    assert 5 * errors[None] < errors[8]


def test_language_models_get_more_sizes_of_spike(llama):
    def sizes(converted):
        return converted.coding.levels, converted.coding.mantissa

    assert sizes(llama) == (24, 1)
    assert sizes(SpikeformerConverter(timesteps=2).convert(bert())) == (8, 0)
    assert sizes(SpikeformerConverter(2, levels=5).convert(make("llama"))) == (5, 1)
    assert sizes(SpikeformerConverter(2, mantissa=0).convert(make("llama"))) == (24, 0)
