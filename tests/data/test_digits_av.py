from __future__ import annotations

import io

import numpy as np
import pyarrow.parquet
import pytest
import soundfile
import torch
from sklearn.datasets import load_digits

from spikeformer.data import AudioVisualDigitsDataModule, DigitsDataModule, add_noise
from spikeformer.data.digits_av import LETTERS, NAMES
from spikeformer.error_handling import ArgumentError, DataError

RATE = 8000


def wav(wave):
    file = io.BytesIO()
    soundfile.write(file, wave, RATE, format="WAV")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Ten classes, three speakers; a recording's level tells which one it is."""
    import datasets

    names = datasets.ClassLabel(names=list("0123456789"))
    features = datasets.Features(
        {"audio": datasets.Audio(RATE), "label": names, "speaker": datasets.Value("string")}
    )
    number = 0
    for split, per_class in (("train", 12), ("test", 3)):
        rows = {"audio": [], "label": [], "speaker": []}
        for label in range(10):
            for take in range(per_class):
                number += 1
                rows["audio"].append({"bytes": wav(np.full(300, number / 500)), "path": None})
                rows["label"].append(label)
                rows["speaker"].append(("ann", "bob", "eve")[take % 3])
        table = pyarrow.table(rows, schema=features.arrow_schema)
        pyarrow.parquet.write_table(table, tmp_path / f"{split}.parquet")
    return str(tmp_path)


@pytest.fixture
def loaded(folder, cache):
    def load(**options):
        data = AudioVisualDigitsDataModule(
            path=folder, cache_dir=cache, **{"num_samples": 400, **options}
        )
        data.setup()
        return data

    return load


def parts(data):
    return [data.splits.train, data.splits.val, data.splits.test]


def identities(images):
    """Index of every image among scikit-learn's digits."""
    everything = {image.tobytes(): i for i, image in enumerate(load_digits().images / 16)}
    return [everything[image.double().numpy().tobytes()] for image in images[:, 0]]


def test_a_sample_is_one_digit_seen_heard_and_spelled(loaded):
    data = loaded(modalities=["vision", "audio", "text"], batch_size=7)
    inputs, labels = next(iter(data.test_dataloader()))
    assert inputs["vision"].shape == (7, 1, 8, 8)
    assert inputs["audio"].shape == (7, 400)
    assert inputs["text"].shape == (7, 5)
    targets = load_digits().target
    for part in parts(data):
        assert targets[identities(part.inputs["vision"])].tolist() == part.targets.tolist()
        level = (part.inputs["audio"][:, 0] * 500).round().long() - 1
        heard = torch.where(level < 120, level // 12, (level - 120) // 3)
        assert torch.equal(heard, part.targets)
    words = ["".join(data.tokens(ids.tolist())) for ids in inputs["text"]]
    assert words == [NAMES[label].ljust(5, "_") for label in labels]
    assert len(LETTERS) == 16


@pytest.mark.parametrize("split", ["recordings", "speakers"])
def test_nothing_is_in_two_splits(loaded, split):
    data = loaded(split=split, test_speakers=["bob"])
    seen = [set(identities(part.inputs["vision"])) for part in parts(data)]
    heard = [set(part.inputs["audio"][:, 0].tolist()) for part in parts(data)]
    for sets in (seen, heard):
        assert not (sets[0] & sets[1] | sets[0] & sets[2] | sets[1] & sets[2])
    assert sum(map(len, heard)) == 150
    digits = DigitsDataModule(val_fraction=0.1)
    digits.setup()
    assert seen[2] <= set(identities(digits.splits.test.inputs))


def test_the_speakers_of_the_test_are_heard_nowhere_else(loaded):
    data = loaded(split="speakers", test_speakers=["bob"])
    for part, is_bob in zip(parts(data), (False, False, True), strict=True):
        take = (part.inputs["audio"][:, 0] * 500).round().long() - 1
        assert ((take % 3 == 1) == is_bob).all()
    assert len(data.splits.test) == 50


def test_pairs_are_those_of_the_split_seed(loaded):
    def pairs(**options):
        return identities(loaded(**options).splits.test.inputs["vision"])

    assert pairs() == pairs(seed=5)
    assert pairs() != pairs(split_seed=1)
    # No image twice where there are enough.
    assert len(set(pairs())) == 30


def test_training_pairs_are_drawn_anew_from_training_images(loaded):
    data = loaded()
    train = data.splits.train
    pool = DigitsDataModule(val_fraction=0.1)
    pool.setup()
    allowed = set(identities(pool.splits.train.inputs))

    def drawn(seed):
        batch = train.__getitems__(range(len(train)))
        inputs, labels = data.augment(batch, torch.Generator().manual_seed(seed))
        assert torch.equal(labels, train.targets)
        assert torch.equal(inputs["audio"], train.inputs["audio"])
        return identities(inputs["vision"])

    first = drawn(0)
    assert first == drawn(0)
    assert first != drawn(1)
    assert set(first) <= allowed
    assert load_digits().target[first].tolist() == train.targets.tolist()


def test_noise_reaches_its_share_of_the_training_samples(loaded):
    data = loaded(noisy_share=0.5, max_image_noise=0.5, min_snr_db=0.0, max_delay=3)
    batch = {
        name: x.repeat(20, *[1] * (x.ndim - 1)) for name, x in data.splits.train.inputs.items()
    }
    labels = data.splits.train.targets.repeat(20)
    inputs, _ = data.augment((batch, labels), torch.Generator().manual_seed(0))
    silent_tail = inputs["audio"][:, 350:].abs().amax(1) == 0
    assert abs(silent_tail.float().mean() - 0.5) < 0.05
    whole = (inputs["vision"] * 16 - (inputs["vision"] * 16).round()).abs().amax((1, 2, 3)) == 0
    assert abs(whole.float().mean() - 0.5) < 0.05
    assert inputs["vision"].min() >= 0
    assert inputs["vision"].max() <= 1


@pytest.mark.parametrize("ratio", [-10.0, 0.0, 20.0])
def test_noise_has_its_ratio_to_the_signal_without_the_silence_behind(ratio):
    wave = torch.zeros(3, 40_000)
    wave[0, :20_000] = torch.randn(20_000)
    wave[1, :] = 0.1 * torch.randn(40_000)
    noise = add_noise(wave, ratio) - wave
    for row, length in ((0, 20_000), (1, 40_000)):
        found = wave[row, :length].square().mean() / noise[row].square().mean()
        assert abs(10 * found.log10() - ratio) < 0.2
    assert noise[2].abs().max() == 0
    each = add_noise(wave, torch.tensor([torch.inf, 0.0, 0.0]))
    assert torch.equal(each[0], wave[0])


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"modalities": ["smell"]}, "modalities"),
        ({"modalities": []}, "modalities"),
        ({"modalities": ["audio", "audio"]}, "modalities"),
        ({"split": "age"}, "split"),
        ({"split": "speakers", "test_speakers": []}, "test_speakers"),
        ({"sample_rate": 0}, "sample_rate"),
        ({"max_shift": 8}, "max_shift"),
        ({"max_delay": -1}, "max_delay"),
        ({"noisy_share": 2.0}, "noisy_share"),
        ({"max_image_noise": -1.0}, "max_image_noise"),
        ({"min_snr_db": 50.0}, "min_snr_db"),
    ],
)
def test_values_outside_their_range(wrong, named):
    with pytest.raises(ArgumentError, match=named):
        AudioVisualDigitsDataModule(path="x", **wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"path": "/nowhere"}, r"data\.path='/nowhere' does not exist"),
        ({"sample_rate": 16000}, r"data\.sample_rate=16000 but .* has 8000"),
        ({"num_classes": 4}, "has 10 classes"),
        ({"split": "speakers", "test_speakers": ["joe"]}, "ann, bob, eve"),
        ({"split": "speakers", "test_speakers": ["ann", "bob", "eve"]}, "some, not all"),
        ({"split": "speakers", "test_speakers": ["ann"], "speaker_key": "who"}, "'who'"),
    ],
)
def test_data_that_is_not_what_the_keys_say(folder, cache, wrong, message):
    data = AudioVisualDigitsDataModule(**{"path": folder, "cache_dir": cache, **wrong})
    with pytest.raises(DataError, match=message):
        data.setup()


def test_fsdd(shared_set, cache):
    data = AudioVisualDigitsDataModule(path=shared_set("fsdd"), cache_dir=cache)
    data.setup()
    assert [len(part) for part in parts(data)] == [2430, 270, 300]
    assert data.splits.test.inputs["audio"].shape == (300, 6556)
