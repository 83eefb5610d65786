from __future__ import annotations

import json

import pytest
import tokenizers
import torch
import transformers

from spikeformer.conversion import PretrainedTransformer, SpikeformerConverter
from spikeformer.conversion.pretrained import load_pretrained, read_config
from spikeformer.data.tokenizer import pretrained_encoder, trained_encoder
from spikeformer.error_handling import ConversionError
from tests.conversion.networks import (
    IMAGE,
    PROCESSOR,
    TEXT,
    bert_classifier,
    relative,
    save_processor,
    vit,
    vit_classifier,
)


@pytest.fixture
def folder(tmp_path):
    vit_classifier().save_pretrained(tmp_path)
    return save_processor(tmp_path)


def ask_for(folder, **keys):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))
    (folder / "stolen.py").write_text("raise SystemExit('ran')")


def test_pretrained_transformer_gives_the_outputs_of_the_model(folder):
    network, images = PretrainedTransformer(str(folder), num_classes=5), torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        mean, deviation = (
            torch.tensor(PROCESSOR[name])[:, None, None] for name in ("image_mean", "image_std")
        )
        expected = load_pretrained(str(folder))(pixel_values=(images - mean) / deviation).logits
        torch.testing.assert_close(network(images), expected.unsqueeze(1))


@pytest.mark.parametrize(
    "keys",
    [
        {"auto_map": {"AutoConfig": "stolen.Config"}},
        {"auto_map": {"AutoConfig": "stolen.Config"}, "model_type": "stolen"},
        {"_attn_implementation": "somebody/kernels"},
        {"attn_implementation": {"": "somebody/kernels"}},
        {"text_config": {"_attn_implementation_internal": "somebody/kernels:attention"}},
    ],
    ids=["auto_map", "unknown-type", "attention", "mapping", "nested"],
)
def test_read_config_refuses_code_from_elsewhere(folder, keys):
    ask_for(folder, **keys)
    for read in (read_config, load_pretrained, PretrainedTransformer):
        with pytest.raises(ConversionError, match="code of its own"):
            read(str(folder))


def test_read_config_takes_attention_that_is_part_of_transformers(folder):
    ask_for(folder, _attn_implementation="eager")
    assert read_config(str(folder)).model_type == "vit"


def test_load_pretrained_wants_a_classifier(tmp_path):
    vit().save_pretrained(tmp_path)
    with pytest.raises(ConversionError, match="holds ViTModel"):
        load_pretrained(str(tmp_path))


@pytest.mark.parametrize("text", ["[]", "7", "[" * 100_000, "{", "\x00"])
def test_load_pretrained_refuses_configurations_that_are_none(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(ConversionError, match="cannot be loaded"):
        load_pretrained(str(folder))


def test_load_pretrained_says_that_a_folder_is_not_there(tmp_path):
    with pytest.raises(ConversionError, match=r"nowhere cannot be loaded: There is no such folder"):
        load_pretrained(str(tmp_path / "nowhere"))


def tiny(kind):
    vision = {**IMAGE, "num_hidden_layers": 1}
    text = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 1, "vocab_size": 9}
    cnn = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "num_labels": 5}
    parts = {"vision_config": vision, "text_config": {**text, "num_hidden_layers": 1}}
    config = {
        "ResNet": lambda: cnn,
        "RegNet": lambda: {**cnn, "groups_width": 4},
        "Siglip": lambda: {**parts, "num_labels": 5},
        "CLIP": lambda: {**parts, "num_labels": 5},
    }[kind]()
    made = getattr(transformers, f"{kind}Config")(**config)
    return getattr(transformers, f"{kind}ForImageClassification")(made)


@pytest.mark.parametrize("kind", ["ResNet", "RegNet", "Siglip", "CLIP"])
def test_other_families_of_vision_are_taken_and_converted(kind, tmp_path):
    tiny(kind).save_pretrained(tmp_path)
    save_processor(tmp_path, size={"shortest_edge": 16})
    network, images = PretrainedTransformer(str(tmp_path), num_classes=5), torch.rand(2, 3, 24, 24)
    inputs = network.arguments(images)
    assert inputs["pixel_values"].shape == (2, 3, 16, 16)
    snn = SpikeformerConverter(timesteps=8).convert(network.model, inputs)
    with torch.no_grad():
        assert relative(snn(**inputs).logits, network(images)[:, 0]) < 0.05


def test_texts_longer_than_the_model_takes_are_refused(tmp_path):
    config = transformers.RobertaConfig(**TEXT, max_position_embeddings=10, pad_token_id=1)
    transformers.RobertaForSequenceClassification(config).save_pretrained(tmp_path)
    network = PretrainedTransformer(str(tmp_path))
    assert network(input_ids=torch.full((1, 8), 5)).shape == (1, 1, 2)
    with pytest.raises(ConversionError, match=r"9 tokens.*at most 8.*data\.max_length=8"):
        network(input_ids=torch.full((1, 9), 5))


def test_sequences_of_a_decoder_are_classified_in_batches(tmp_path):
    config = transformers.GPT2Config(
        n_embd=8, n_layer=1, n_head=1, vocab_size=9, eos_token_id=8, bos_token_id=8
    )
    transformers.GPT2ForSequenceClassification(config).save_pretrained(tmp_path)
    network = PretrainedTransformer(str(tmp_path))
    ids = torch.tensor([[1, 2, 8], [1, 2, 3]])
    with torch.no_grad():
        alone = network(input_ids=ids[:1, :2], mask=torch.ones(1, 2))
        torch.testing.assert_close(network(input_ids=ids, mask=ids != 8)[:1], alone)


def test_only_classifiers_of_images_and_token_ids_are_taken(tmp_path):
    config = transformers.Wav2Vec2Config(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    config.architectures = ["Wav2Vec2ForSequenceClassification"]
    config.save_pretrained(tmp_path)
    with pytest.raises(ConversionError, match="holds Wav2Vec2ForSequenceClassification"):
        load_pretrained(str(tmp_path))


def words(folder, number):
    vocabulary = {f"w{index}": index for index in range(number - 1)} | {"[UNK]": number - 1}
    model = tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(model)
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)


def test_a_tokenizer_must_be_the_model_s(tmp_path):
    bert_classifier().save_pretrained(tmp_path)  # knows 50 tokens
    network = PretrainedTransformer(str(tmp_path))
    with pytest.raises(ConversionError, match=r"holds no tokenizer.*Set data\.tokenizer"):
        network.check_tokenizer(pretrained_encoder(str(tmp_path)))
    for number in (51, 24):
        words(tmp_path / str(number), number)
        with pytest.raises(ConversionError, match=f"has {number} tokens, the model 50"):
            network.check_tokenizer(pretrained_encoder(str(tmp_path / str(number))))
    with pytest.raises(ConversionError, match="trained on the data"):
        network.check_tokenizer(trained_encoder(["a b c"], "word", 50, tmp_path))
    words(tmp_path, 48)
    network.check_tokenizer(pretrained_encoder(str(tmp_path)))


def test_language_models_give_logits_of_tokens(tmp_path):
    config = transformers.GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2, n_positions=12)
    model = transformers.GPT2LMHeadModel(config).to(torch.bfloat16)
    model.save_pretrained(tmp_path)
    network, ids = PretrainedTransformer(str(tmp_path), num_classes=50), torch.arange(10).view(2, 5)
    assert network.model.dtype == torch.float32
    assert network(input_ids=ids).shape == (2, 1, 5, 50)
    given = network.arguments({"input_ids": ids, "mask": torch.ones(2, 5, dtype=torch.bool)})
    assert given["use_cache"] is False
    with pytest.raises(ConversionError, match=r"13 tokens.*at most 12"):
        network.arguments({"input_ids": torch.zeros(1, 13, dtype=torch.long)})


def write_gguf(path, config):
    """Write a small Llama with a tokenizer of bytes; return its embeddings."""
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(1)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([*"abcdefghijklmnop", "ab", "<|endoftext|>"])
    writer.add_token_merges(["a b"])
    writer.add_token_types([1] * 17 + [3])
    writer.add_bos_token_id(17)
    writer.add_eos_token_id(17)
    model = transformers.LlamaForCausalLM(config)
    names = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "lm_head": "output",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    for name, weight in model.state_dict().items():
        path_of = name.removesuffix(".weight").removeprefix("model.layers.0.")
        block = "blk.0." if name.startswith("model.layers") else ""
        writer.add_tensor(f"{block}{names[path_of]}.weight", weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model.model.embed_tokens.weight


def test_gguf_files_are_read_with_their_tokenizer(tmp_path):
    pytest.importorskip("accelerate")
    config = transformers.LlamaConfig(
        vocab_size=18,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=16,
    )
    file = tmp_path / "small.gguf"
    embeddings = write_gguf(file, config)
    network, encoder = PretrainedTransformer(str(file)), pretrained_encoder(str(file))
    network.check_tokenizer(encoder)
    assert torch.equal(network.model.model.embed_tokens.weight, embeddings)
    (ids,) = encoder.encode(["abc"])
    assert ids[-2:] == [16, 2]
    assert network(input_ids=torch.tensor([ids])).shape == (1, 1, len(ids), 18)
    network.model.save_pretrained(tmp_path / "saved")
    assert load_pretrained(str(tmp_path / "saved")).num_parameters()
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    with pytest.raises(ConversionError, match=r"broken\.gguf cannot be loaded"):
        load_pretrained(str(tmp_path / "broken.gguf"))
