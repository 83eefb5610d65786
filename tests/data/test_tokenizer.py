"""Tokenizers, trained here or loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from spikeformer.data import TextDataModule
from spikeformer.data.tokenizer import trained_encoder
from spikeformer.error_handling import DataError
from tests.data.sets import WORDS, sentences
from tests.data.sets import loaded_reviews as loaded


def test_a_trained_tokenizer_is_kept_and_used_again(reviews, tmp_path, monkeypatch):
    path = reviews()
    loaded(path=path, vocab_size=400, cache_dir=str(tmp_path / "cache"))
    (kept,) = (tmp_path / "cache" / "tokenizers").iterdir()
    before = kept.read_bytes()
    monkeypatch.setattr("spikeformer.data.tokenizer._train", None)
    again = loaded(path=path, vocab_size=400, cache_dir=str(tmp_path / "cache"))
    assert again.encoder.size <= 400
    assert kept.read_bytes() == before


def test_a_damaged_kept_tokenizer_is_trained_again(tmp_path):
    first = trained_encoder(sentences(50), "bpe", 300, tmp_path)
    (kept,) = (tmp_path / "tokenizers").iterdir()
    whole = kept.read_text()
    kept.write_text(whole[:100])
    second = trained_encoder(sentences(50), "bpe", 300, tmp_path)
    assert first.encode(sentences(5)) == second.encode(sentences(5))
    assert kept.read_text() == whole
    assert len(list((tmp_path / "tokenizers").iterdir())) == 1


def test_training_is_the_same_in_another_process(tmp_path):
    """The hash tables of another process have another order; processes must still agree."""
    kinds = ("bpe", "word")
    for kind in kinds:
        trained_encoder(sentences(200), kind, 350, tmp_path / "here")
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path;"
        "from test_tokenizer import sentences;"
        "from spikeformer.data.tokenizer import trained_encoder;"
        "[trained_encoder(sentences(200), kind, 350, Path(sys.argv[2])) for kind in sys.argv[3:]]"
    )
    here, there = str(Path(__file__).parent), str(tmp_path / "there")
    subprocess.run([sys.executable, "-c", script, here, there, *kinds], check=True)
    kept = [
        {file.name: file.read_bytes() for file in (tmp_path / place / "tokenizers").iterdir()}
        for place in ("here", "there")
    ]
    assert len(kept[0]) == 2
    assert kept[0] == kept[1]


@pytest.fixture
def pretrained(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"[PAD]": 0, "[UNK]": 1, **{word: i + 2 for i, word in enumerate(WORDS)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    fast.save_pretrained(tmp_path / "tokenizer")
    return str(tmp_path / "tokenizer"), vocabulary


def test_pretrained_tokenizer_from_a_folder(reviews, pretrained, cache):
    name, vocabulary = pretrained
    options = {"path": reviews(), "tokenizer": name, "vocab_size": 100, "val_fraction": 0}
    data = loaded(**options, cache_dir=cache)
    inputs, _ = data.splits.train.__getitems__([0])
    expected = [vocabulary[word] for word in sentences(1)[0].split()]
    assert inputs["input_ids"][0].tolist() == expected
    lm = loaded(**options, task="causal_lm", cache_dir=cache)
    inputs, targets = lm.splits.train.__getitems__([0])
    assert inputs["input_ids"][0].tolist() == expected[:-1]
    assert targets[0].tolist() == expected[1:]


def test_pretrained_tokenizer_larger_than_the_vocabulary(reviews, pretrained, cache):
    name, vocabulary = pretrained
    data = TextDataModule(path=reviews(), tokenizer=name, vocab_size=5, cache_dir=cache)
    with pytest.raises(DataError, match=f"set data.vocab_size={len(vocabulary)}"):
        data.setup()


def test_tokenizer_of_the_hub_without_a_network(reviews, cache):
    data = TextDataModule(path=reviews(), tokenizer="someone/words", cache_dir=cache)
    with pytest.raises(DataError, match=r"data\.tokenizer='someone/words' could not be reached"):
        data.setup()


def test_a_folder_that_holds_no_tokenizer(reviews, tmp_path, cache):
    (tmp_path / "nothing").mkdir()
    data = TextDataModule(path=reviews(), tokenizer=str(tmp_path / "nothing"), cache_dir=cache)
    with pytest.raises(DataError, match="cannot be read as a tokenizer"):
        data.setup()
