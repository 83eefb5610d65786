"""Real sets kept beside the repository, and small made-up ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import datasets
import lightning as L
import numpy as np
import pyarrow.parquet
import pytest
import soundfile
import torch

from spikeformer.data import AudioDataModule
from tests.compliance.records import agreed, make
from tests.data.sets import Rows, sentences, wav

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests must pass, and fail, the same with and without a network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)


@pytest.fixture
def shared_set() -> Callable[[str], str]:
    """Path of a real set, or a skipped test where it is not there."""

    def find(name: str) -> str:
        folder = Path(os.environ.get("SPIKEFORMER_DATA", SHARED)) / name
        if not folder.is_dir():
            pytest.skip(f"the data set {name!r} is not at {folder}; SPIKEFORMER_DATA can say where")
        return str(folder)

    return find


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One cache for all tests, so that nothing is left in the home folder."""
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def image_parquet(tmp_path: Path) -> Callable[..., Path]:
    """Write a parquet folder of small images, `per_class` of each class and split."""

    def write(classes: int = 3, per_class: int = 10, size: int = 8, channels: int = 3) -> Path:
        import datasets

        folder = tmp_path / "images"
        folder.mkdir()
        random = np.random.default_rng(0)
        features = datasets.Features(
            {
                "img": datasets.Image(),
                "label": datasets.ClassLabel(names=[f"class {i}" for i in range(classes)]),
            }
        )
        for split in ("train", "test"):
            labels = np.repeat(np.arange(classes), per_class)
            shape = (len(labels), size, size, *([3] if channels == 3 else []))
            pixels = random.integers(0, 256, shape, np.uint8)
            rows = {"img": list(pixels), "label": labels.tolist()}
            table = datasets.Dataset.from_dict(rows, features=features)
            table.to_parquet(str(folder / f"{split}.parquet"))
        return folder

    return write


class Recorder(L.LightningModule):
    """A linear model that keeps every training batch it sees."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(features, classes)
        self.seen: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = {}
        self.validated: list[torch.Tensor] = []

    def training_step(self, batch, _):
        inputs, target = batch
        self.seen.setdefault(self.current_epoch, []).append((inputs.clone(), target.clone()))
        return torch.nn.functional.cross_entropy(self.layer(inputs.flatten(1)), target)

    def validation_step(self, batch, _):
        self.validated.append(batch[0].clone())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)


@pytest.fixture
def recorder() -> type[Recorder]:
    return Recorder


@pytest.fixture
def trainer(tmp_path: Path) -> Callable[..., L.Trainer]:
    def make(**options) -> L.Trainer:
        defaults = {
            "accelerator": "cpu",
            "devices": 1,
            "max_epochs": 2,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "default_root_dir": tmp_path,
        }
        return L.Trainer(**{**defaults, **options})

    return make


@pytest.fixture
def spoken(tmp_path):
    """A parquet folder: four speakers, two digits, three recordings of each."""
    folder = tmp_path / "spoken"
    folder.mkdir()
    random = np.random.default_rng(0)
    features = datasets.Features(
        {
            "audio": datasets.Audio(8000),
            "label": datasets.ClassLabel(names=["0", "1"]),
            "speaker": datasets.Value("string"),
        }
    )
    for split in ("train", "test"):
        rows: dict[str, list] = {"audio": [], "label": [], "speaker": []}
        for speaker in "abcd":
            for label in (0, 1) * 3:
                path = folder / "wave.wav"
                soundfile.write(path, random.uniform(-1, 1, 2000), 8000)
                rows["audio"].append({"bytes": path.read_bytes(), "path": None})
                rows["label"].append(label)
                rows["speaker"].append(speaker)
        # Not through `Dataset.from_dict`, whose audio encoding wants torchcodec.
        table = pyarrow.table(rows, schema=features.arrow_schema)
        pyarrow.parquet.write_table(table, folder / f"{split}.parquet")
    (folder / "wave.wav").unlink()
    return folder


@pytest.fixture
def data(spoken, cache):
    def load(**attributes):
        module = AudioDataModule(path=str(spoken), cache_dir=cache, num_frames=8, val_fraction=0.2)
        for name, value in attributes.items():
            setattr(module, name, value)
        module.setup()
        return module

    return load


@pytest.fixture
def manager(tmp_path):
    manager = make(tmp_path / "records")
    for name in "abc":
        agreed(manager, name)
    manager.withdraw_consent("c")
    return manager


@pytest.fixture
def tones(tmp_path):
    """Two classes, a low and a high tone, of different lengths."""

    def write(rate=8000, spoil=None, channels=1):
        import datasets

        names = datasets.ClassLabel(names=["low", "high"])
        features = datasets.Features({"audio": datasets.Audio(rate), "label": names})
        for split, count in (("train", 20), ("test", 6)):
            cells, labels = [], []
            for number in range(count):
                label = number % 2
                time = np.arange(rate * (2 + number % 5) // 10) / rate
                wave = 0.5 * np.sin(2 * np.pi * (300, 2000)[label] * time)
                wave = np.stack([wave] * channels, 1) if channels > 1 else wave
                cells.append({"bytes": wav(wave, rate), "path": None})
                labels.append(label)
            if split == "train" and spoil is not None:
                cells[3] = {"bytes": spoil, "path": None}
            rows = {"audio": cells, "label": labels}
            # Not through `Dataset.from_dict`, whose audio encoding wants torchcodec.
            table = pyarrow.table(rows, schema=features.arrow_schema)
            pyarrow.parquet.write_table(table, tmp_path / f"{split}.parquet")
        return str(tmp_path)

    return write


@pytest.fixture
def rows(tmp_path):
    def write(**splits):
        for split, labels in splits.items():
            lines = [f"{i},{label}" for i, label in enumerate(labels)]
            (tmp_path / f"{split}.csv").write_text("\n".join(["number,label", *lines]))
        return str(tmp_path)

    return write


@pytest.fixture
def load(rows, cache):
    def run(splits, **options):
        data = Rows(path=rows(**splits), cache_dir=cache, **options)
        data.setup()
        return data

    return run


@pytest.fixture
def reviews(tmp_path):
    def write(extra=()):
        import pandas as pd

        train = [*sentences(60), *extra]
        pd.DataFrame({"text": train, "label": [i % 2 for i in range(len(train))]}).to_csv(
            tmp_path / "train.csv", index=False
        )
        pd.DataFrame({"text": sentences(20, 100), "label": [0, 1] * 10}).to_csv(
            tmp_path / "test.csv", index=False
        )
        return str(tmp_path)

    return write
