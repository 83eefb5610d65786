from __future__ import annotations

import pytest
import torch

from spikeformer.data import TextDataModule
from spikeformer.error_handling import ArgumentError, DataError
from tests.data.sets import loaded_reviews as loaded
from tests.data.sets import sentences


@pytest.mark.parametrize("kind", ["bpe", "word"])
def test_batches(reviews, cache, kind):
    data = loaded(
        path=reviews(), vocab_size=400, num_classes=2, tokenizer_kind=kind, cache_dir=cache
    )
    inputs, labels = next(iter(data.train_dataloader()))
    ids, mask = inputs["input_ids"], inputs["mask"]
    assert ids.shape == mask.shape
    assert ids.dtype == labels.dtype == torch.int64
    assert mask.dtype == torch.bool
    assert mask.any(1).all()
    assert mask.any(0).all()  # no wider than the longest sentence
    assert (ids[~mask] == data.encoder.pad_id).all()
    assert 0 <= ids.min() <= ids.max() < data.encoder.size <= 400
    assert data.task == "classification"


@pytest.mark.parametrize("kind", ["bpe", "word"])
def test_decoding_gives_the_sentence_back(reviews, cache, kind):
    data = loaded(path=reviews(), vocab_size=400, tokenizer_kind=kind, cache_dir=cache)
    for sentence in sentences(5):
        (ids,) = data.encoder.encode([sentence])
        assert data.encoder.tokenizer.decode(ids).strip() == sentence


def test_unknown_characters_have_an_encoding(reviews, cache):
    for kind in ("bpe", "word"):
        data = loaded(path=reviews(), vocab_size=400, tokenizer_kind=kind, cache_dir=cache)
        assert all(len(ids) > 0 for ids in data.encoder.encode(["\N{SNOWMAN} ж"]))


def test_long_sentences_are_cut_and_blank_ones_get_one_token(reviews, cache):
    data = loaded(
        path=reviews(extra=["   ", "word " * 50]),
        max_length=6,
        val_fraction=0,
        tokenizer_kind="word",
        cache_dir=cache,
    )
    inputs, _ = data.splits.train.__getitems__([60, 61])
    assert inputs["mask"].sum(1).tolist() == [1, 6]
    assert inputs["input_ids"][0, 0] == data.encoder.empty_id


def test_batches_of_one_size_are_padded_to_the_longest_possible(reviews, cache):
    data = loaded(path=reviews(), vocab_size=400, max_length=20, cache_dir=cache)
    inputs, _ = next(iter(data.train_dataloader()))
    padded, width = data.of_one_size(inputs), inputs["mask"].shape[1]
    assert width < 20
    for name, x in inputs.items():
        assert padded[name].shape == (len(x), 20)
        assert padded[name].dtype == x.dtype
        assert (padded[name][:, :width] == x).all()
    assert not padded["mask"][:, width:].any()
    assert (padded["input_ids"][:, width:] == data.encoder.pad_id).all()


def test_language_modelling(reviews, cache):
    data = loaded(path=reviews(), task="causal_lm", vocab_size=400, max_length=8, cache_dir=cache)
    inputs, targets = data.splits.train.__getitems__([0, 7])
    ids, mask = inputs["input_ids"], inputs["mask"]
    assert ids.shape == targets.shape
    assert (ids[:, 0] == data.encoder.bos_id).all()
    assert (targets[~mask] == -100).all()
    assert (targets[mask] >= 0).all()
    for row in range(2):
        length = int(mask[row].sum())
        assert torch.equal(ids[row, 1:length], targets[row, : length - 1])
    assert targets[0][mask[0]][-1] == data.encoder.eos_id
    assert data.class_names == []
    assert data.num_classes == 400
    assert data.task == "causal_lm"


@pytest.mark.parametrize(
    ("key", "message"),
    [("body", r"data\.text_key='body' is not a column"), ("label", "not text")],
)
def test_wrong_text_column(reviews, cache, key, message):
    data = TextDataModule(path=reviews(), text_key=key, cache_dir=cache)
    with pytest.raises(DataError, match=message):
        data.setup()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"task": "translation"}, "task"),
        ({"max_length": 0}, "max_length"),
        ({"vocab_size": 100}, "vocab_size"),
        ({"tokenizer_kind": "unigram"}, "tokenizer_kind"),
    ],
)
def test_values_outside_their_range(wrong, named):
    with pytest.raises(ArgumentError, match=named):
        TextDataModule(path="x", **wrong)


def test_sst2(shared_set, cache):
    data = loaded(path=shared_set("sst2"), num_classes=2, cache_dir=cache)
    assert [len(p) for p in (data.splits.train, data.splits.val, data.splits.test)] == [
        6920,
        872,
        1821,
    ]
    assert data.class_names == ["negative", "positive"]
    inputs, labels = next(iter(data.train_dataloader()))
    assert inputs["input_ids"].shape[0] == 64
    assert inputs["input_ids"].shape[1] <= 64
    assert set(labels.tolist()) == {0, 1}
    assert data.encoder.size == 8000


@pytest.mark.parametrize("kind", ["bpe", "word"])
def test_the_tokenizer_learns_from_the_training_samples_alone(tmp_path, cache, kind):
    """Each sample has a word of its own: those of validation and test are unknown."""
    words = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeio" for c in "lmnrst"]
    rows = "".join(f"{word} {word} {word},{n % 2}\n" for n, word in enumerate(words))
    (tmp_path / "rows.csv").write_text(f"text,label\n{rows}")
    data = loaded(
        path=str(tmp_path / "rows.csv"),
        vocab_size=600,
        tokenizer_kind=kind,
        limit_train=100,
        val_fraction=0.2,
        cache_dir=cache,
    )
    known = {token.strip("\u0120") for token in data.encoder.tokenizer.get_vocab()} & set(words)
    learnt = set()
    for row in range(len(data.splits.train)):
        (inputs, _) = data.splits.train.__getitems__([row])
        learnt.add(data.encoder.tokenizer.decode(inputs["input_ids"][0].tolist()).split()[0])
    assert len(learnt) == 64
    assert known == learnt


LINES = [f"{line} {sentence}" for line, sentence in enumerate(sentences(200))]


@pytest.fixture
def book(tmp_path):
    """A book of 200 numbered lines."""
    file = tmp_path / "book.txt"
    file.write_text("\n".join(LINES), "utf-8")
    return file


def packed(path, cache, **options):
    settings = {"task": "causal_lm", "packing": True, "vocab_size": 400, "max_length": 16}
    return loaded(path=str(path), cache_dir=cache, **{**settings, **options})


def test_packed_blocks_are_the_text_and_predict_every_token_once(book, cache):
    data = packed(book, cache, val_fraction=0.1, test_fraction=0.2)
    texts = {}
    for name in ("train", "val", "test"):
        blocks = getattr(data.splits, name)
        inputs, targets = blocks.__getitems__(range(len(blocks)))
        real = targets != -100
        assert torch.equal(real, inputs["mask"])
        assert inputs["mask"][:-1].all()  # only the last block is padded
        stream = [*inputs["input_ids"][0, :1].tolist(), *targets[real].tolist()]
        texts[name] = data.encoder.tokenizer.decode(stream).strip()
        assert torch.equal(inputs["input_ids"][1:, 0], targets[:-1, -1])
        assert data.num_bytes(torch.tensor(stream)) == len(texts[name]) + 1
    # Splits follow each other, whole lines each.
    assert "\n".join(texts[name] for name in ("train", "val", "test")) == "\n".join(LINES)
    assert len(texts["test"].split("\n")) == 40
    assert len(texts["val"].split("\n")) == 16


def test_packed_documents_end_with_a_token(reviews, cache):
    data = packed(reviews(), cache, val_fraction=0)
    tokens = data.splits.train.tokens
    documents = len(data.splits.train.offsets)
    ends = int((tokens == data.encoder.eos_id).sum())
    assert documents > 1
    assert ends >= 60


def test_a_limit_takes_the_first_lines(book, cache):
    data = packed(book, cache, limit_train=50, val_fraction=0, test_fraction=0.5)
    start = data.encoder.tokenizer.decode(data.splits.train.tokens.tolist())
    assert start.strip().split("\n")[0] == LINES[0]
    assert max(int(line.split()[0]) for line in start.strip().split("\n")) == 24


def test_packing_needs_text_and_the_right_task(book, tmp_path, cache):
    with pytest.raises(ArgumentError, match="packing"):
        TextDataModule(path=str(book), packing=True)
    with pytest.raises(ArgumentError, match="vocab_size"):
        TextDataModule(path=str(book), task="causal_lm", vocab_size=None)
    (tmp_path / "train.txt").write_text("one two three")
    (tmp_path / "test.txt").write_text("")
    book.unlink()
    with pytest.raises(DataError, match="0 tokens, too little text"):
        packed(tmp_path, cache, val_fraction=0)


def test_a_text_that_is_not_utf_8_is_refused(tmp_path, cache):
    (tmp_path / "book.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DataError, match=r"book\.txt"):
        packed(tmp_path / "book.txt", cache)
