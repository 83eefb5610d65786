"""A run's language model goes on with texts, its own and a converted one alike."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from spikeformer.data.tokenizer import trained_encoder
from spikeformer.error_handling import ArgumentError, ConfigurationError
from spikeformer.models import CausalLMHead, SpikingNetwork, SpikingTransformer
from spikeformer.models import generate as continuation
from spikeformer.runs import TextGenerator, is_language_model
from spikeformer.runs.texts import _Characters

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def language_run(model, folder, tokenizer=None):
    """What a run has of a language model."""
    data = None if tokenizer is None else SimpleNamespace(tokenizer=tokenizer.to_str())
    results = SimpleNamespace(name="book", data=data)
    config = OmegaConf.create({"data": {"tokenizer": None}})
    return SimpleNamespace(network=model, folder=folder, results=results, config=config)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    encoder = trained_encoder([LETTERS], "bpe", 270, folder)
    torch.manual_seed(0)
    backbone = SpikingTransformer(encoder.size, d_model=16, nhead=2, num_layers=1, causal=True)
    net = SpikingNetwork(backbone, CausalLMHead(16, encoder.size)).eval()
    return TextGenerator(language_run(net, folder, encoder.tokenizer))


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    hf = pytest.importorskip("transformers", reason="the extra conversion is not installed")
    tokenizers = pytest.importorskip("tokenizers")
    from spikeformer import SpikeformerConverter

    folder = tmp_path_factory.mktemp("converted")
    vocabulary = {letter: index for index, letter in enumerate(LETTERS)}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="a"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    fast = hf.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="a", pad_token="z")
    fast.save_pretrained(folder / "converted")
    torch.manual_seed(0)
    size = {"vocab_size": 26, "hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 16}
    config = hf.LlamaConfig(**size, num_attention_heads=2, max_position_embeddings=32)
    original = hf.LlamaForCausalLM(config).eval()
    snn = SpikeformerConverter(timesteps=4).convert(original)
    return TextGenerator(language_run(snn, folder))


def said(generator, prompt, **options):
    pieces = []
    generator.generate(prompt, pieces.append, **options)
    return "".join(pieces)


def test_a_text_of_ones_own_is_that_of_its_tokens(own):
    encoder = own.encoder
    (ids,) = encoder.encode(["abc"])
    ids = torch.tensor([[encoder.bos_id, *ids]])
    tokens = torch.cat(list(continuation(own.run.network, ids, 6, end=encoder.eos_id))).tolist()
    text = encoder.tokenizer.decode(tokens, skip_special_tokens=True)
    assert said(own, "abc", tokens=6) == text.rstrip("\N{REPLACEMENT CHARACTER}")


def test_a_converted_text_is_that_of_its_tokens(converted):
    network, encoder = converted.run.network, converted.encoder
    ids = torch.tensor(encoder.encode(["b c d"]))
    options = {"max_new_tokens": 5, "do_sample": False, "pad_token_id": encoder.pad_id}
    out = network.generate(ids, attention_mask=torch.ones_like(ids), **options)
    expected = encoder.tokenizer.decode(out[0, 3:].tolist(), skip_special_tokens=True)
    assert said(converted, "b c d", tokens=5) == expected


def test_timesteps_are_of_one_text_alone(converted, own):
    network, seen = converted.run.network, []
    converted.generate("b", lambda _: seen.append(network.timesteps), tokens=2, timesteps=2)
    assert seen == [2, 2]
    assert network.timesteps == 4
    with pytest.raises(ConfigurationError, match="keeps the timesteps"):
        said(own, "a", timesteps=2)


@pytest.mark.parametrize("kind", ["own", "converted"])
def test_draws_repeat_by_their_seed_and_the_likeliest_is_greedy(request, kind):
    generator = request.getfixturevalue(kind)
    options = {"tokens": 8, "temperature": 5.0}
    first, same, other = (said(generator, "b", **options, seed=seed) for seed in (1, 1, 2))
    assert first == same != other
    assert said(generator, "b", **options, top_k=1) == said(generator, "b", tokens=8)


@pytest.mark.parametrize("kind", ["own", "converted"])
@pytest.mark.parametrize(
    "wrong", [{"tokens": 0}, {"temperature": -1.0}, {"top_k": 0}, {"timesteps": 0}]
)
def test_options_out_of_range_are_refused(request, kind, wrong):
    (name,) = wrong
    with pytest.raises(ArgumentError, match=name):
        said(request.getfixturevalue(kind), "b", **wrong)


def test_a_reader_can_stop_a_text(converted):
    pieces = []

    def put(text):
        pieces.append(text)
        raise StopAsyncIteration

    with pytest.raises(StopAsyncIteration):
        converted.generate("b", put, tokens=9)
    assert len(pieces) == 1


def test_characters_come_whole(own):
    shown = []
    characters = _Characters(own.encoder, shown.append)
    (ids,) = own.encoder.encode(["é\N{SNOWMAN}"])
    characters.put(torch.tensor([ids]))  # a prompt
    assert shown == []
    for token in ids:
        characters.put(torch.tensor([token]))
    assert "".join(shown).strip() == "é\N{SNOWMAN}"
    assert all("\N{REPLACEMENT CHARACTER}" not in text for text in shown)


def test_other_networks_have_no_language(own, tmp_path):
    assert is_language_model(own.run.network)
    assert not is_language_model(nn.Identity())
    with pytest.raises(ConfigurationError, match="Identity, which generates no text"):
        TextGenerator(language_run(nn.Identity(), tmp_path))
    with pytest.raises(ConfigurationError, match="no tokenizer"):
        TextGenerator(language_run(own.run.network, tmp_path))
