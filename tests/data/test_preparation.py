"""What belongs to a training stays with it: classes by their names, tokens, loudness."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from spikeformer.data import (
    AudioDataModule,
    DigitsDataModule,
    Preparation,
    SpikingDataModule,
    Splits,
    TensorBatches,
    TextDataModule,
)
from spikeformer.error_handling import DataError
from spikeformer.research import SplitTasks

WORDS = {"joy": "wonderful delight", "rage": "terrible horrid", "calm": "quiet lake"}


@pytest.fixture
def texts(tmp_path, cache) -> Callable[..., TextDataModule]:
    def make(name: str, *labels: str, extra: str = "", **options: Any) -> TextDataModule:
        rows = [f"{WORDS[label]} {extra} {n},{label}" for n in range(20) for label in labels]
        (tmp_path / name).write_text("\n".join(["text,label", *rows]))
        options = {"vocab_size": 300, "val_fraction": 0, **options}
        return TextDataModule(path=str(tmp_path / name), cache_dir=cache, **options)

    return make


def labels_by_text(data: TextDataModule) -> set[tuple[str, int]]:
    inputs, targets = next(iter(data.test_dataloader()))
    words = [data.encoder.tokenizer.decode(row.tolist()).split()[0] for row in inputs["input_ids"]]
    return set(zip(words, targets.tolist(), strict=True))


def test_other_texts_get_the_tokens_and_classes_of_the_training(texts):
    trained = texts("a.csv", "rage", "joy", "calm")
    trained.setup()
    other = texts("b.csv", "calm", "rage", extra="unheard words zzz")
    other.use(trained.preparation)
    other.setup()
    assert other.class_names == trained.class_names == ["calm", "joy", "rage"]
    assert labels_by_text(other) == {("quiet", 0), ("terrible", 2)}
    sentence = ["wonderful unheard lake"]
    assert other.encoder.encode(sentence) == trained.encoder.encode(sentence)
    alone = texts("b.csv", "calm", "rage", extra="unheard words zzz")
    alone.setup()
    assert alone.encoder.encode(sentence) != trained.encoder.encode(sentence)


def test_classes_that_the_network_does_not_know_are_refused(texts):
    other = texts("b.csv", "joy", "calm")
    other.use(Preparation(["joy", "rage"]))
    with pytest.raises(DataError, match=r"not trained on: 'calm'. It knows 'joy', 'rage'"):
        other.setup()


def test_training_goes_on_with_other_classes_and_the_same_tokens(texts):
    trained = texts("a.csv", "rage", "joy")
    trained.setup()
    other = texts("b.csv", "joy", "calm", extra="unheard")
    other.use(trained.preparation, trains=True)
    other.setup()
    assert other.class_names == ["calm", "joy"]
    assert other.encoder.encode(["unheard"]) == trained.encoder.encode(["unheard"])
    same = texts("c.csv", "joy", "rage")
    same.use(Preparation(["rage", "joy"]), trains=True)
    same.setup()
    assert same.class_names == ["rage", "joy"]


def test_the_scale_of_spectrograms_is_that_of_the_training(spoken, cache):
    def load(**options):
        data = AudioDataModule(path=str(spoken), cache_dir=cache, num_frames=8, val_fraction=0)
        if options:
            data.use(Preparation(["0", "1"], **options))
        data.setup()
        return data

    own = load()
    loudest = own.preparation.loudest_db
    assert loudest is not None
    louder = load(loudest_db=loudest + 8.0)
    expected = (own.splits.train.inputs - 0.1).clamp(min=0)
    torch.testing.assert_close(louder.splits.train.inputs, expected, atol=1e-5, rtol=0)
    assert louder.preparation.loudest_db == loudest + 8.0


class Two(SpikingDataModule):
    """Two classes in an order of choice."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names

    def load(self) -> Splits:
        part = TensorBatches(torch.zeros(4, 1, 2, 2), torch.arange(4) % 2)
        return Splits(part, None, part, list(self.names))


@pytest.mark.parametrize(
    ("names", "message"),
    [(("b", "a"), "in the order a, b, the data have them as b, a"), (("a", "c"), "'c'")],
)
def test_modules_of_ones_own_are_checked(names, message):
    data = Two(*names)
    data.use(Preparation(["a", "b"]))
    with pytest.raises(DataError, match=message):
        data.setup()
    trains = Two(*names)
    trains.use(Preparation(["a", "b"]), trains=True)
    trains.setup()


def test_a_checkpoint_brings_it_along(recorder, trainer, tmp_path):
    first = trainer(max_epochs=1)
    first.fit(recorder(4, 2), Two("a", "b"))
    first.save_checkpoint(tmp_path / "x.ckpt")
    kept = torch.load(tmp_path / "x.ckpt", weights_only=True)["Two"]["preparation"]
    assert Preparation.from_plain(kept) == Preparation(["a", "b"])
    trainer(max_epochs=2).fit(recorder(4, 2), Two("a", "b"), ckpt_path=tmp_path / "x.ckpt")
    with pytest.raises(DataError, match="in the order a, b"):
        trainer(max_epochs=2).fit(recorder(4, 2), Two("b", "a"), ckpt_path=tmp_path / "x.ckpt")


def test_tasks_hand_it_to_their_base(texts):
    data = SplitTasks(DigitsDataModule(), num_tasks=5)
    data.setup()
    assert data.preparation == Preparation([str(digit) for digit in range(10)])
    wrapped = SplitTasks(texts("a.csv", "rage", "joy"), num_tasks=2, classes_per_task=1)
    wrapped.use(Preparation(["joy", "rage"], loudest_db=1.0))
    assert wrapped.base.given == Preparation(loudest_db=1.0)


@pytest.mark.parametrize(
    "found",
    [
        Preparation(["a"], tokenizer="other"),
        Preparation(["a"], vocabulary="v"),
        Preparation(["a"], tokenizer="t", loudest_db=None),
        Preparation(["a"], tokenizer="t", loudest_db=3.5),
    ],
)
def test_what_differs_is_refused(found):
    given = Preparation(["a"], tokenizer="t", loudest_db=3.0)
    given.check_same(Preparation(["a"], tokenizer="t", loudest_db=3.001))
    with pytest.raises(DataError):
        given.check_same(found)


@pytest.mark.parametrize("plain", [None, 3, {"class_names": 3}, {"loudest_db": "loud"}])
def test_a_record_that_is_none_is_refused(plain):
    with pytest.raises(DataError, match="cannot be read"):
        Preparation.from_plain(plain)


def test_a_tokenizer_that_is_none_is_refused(texts):
    data = texts("a.csv", "rage", "joy")
    data.use(Preparation(["joy", "rage"], tokenizer="{}"))
    with pytest.raises(DataError, match="cannot be read"):
        data.setup()
