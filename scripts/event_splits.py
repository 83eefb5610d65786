"""Write files of splits: those of the package, or one of your own recordings.

python scripts/event_splits.py
python scripts/event_splits.py --folder /data/N-Caltech101 --files '{group}/image_{number}' \
    --fraction 0.1 --seed 0 --output ncaltech101_seed0.yaml

Without a folder it writes those of spikeformer/data/events/splits. With one it draws a test split
of the recordings in it, with equal shares of each group, for data.split=ncaltech101_seed0.yaml.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml

from spikeformer.data.events.files import READERS
from spikeformer.data.events.named_splits import FOLDER, SplitFile, format_ranges
from spikeformer.data.layout import LeftOut, files_below
from spikeformer.data.splits import stratified_split
from spikeformer.files import write_text

Numbers = Mapping[str, Sequence[int]]

CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
CIFAR10_FILES = "{group}/cifar10_*_{number}"
CIFAR10_ALL = {name: range(1000) for name in CIFAR10}
SHD = {"train": range(8156), "test": range(2264)}
SSC = {"train": range(75466), "valid": range(9981), "test": range(20382)}
N_MNIST = {"Train": range(1, 60001), "Test": range(1, 10001)}
# The trials that DVS128 Gesture lacks: users by the light.
GESTURE_LACKS = {
    "fluorescent": (12,),
    "fluorescent_led": (16, 25),
    "lab": (3, 4, 11, 12, 14, 20, 24, 25, 27),
    "led": (11, 21),
    "natural": (7, 8, 10, 12, 18, 20, 23, 24, 25),
}


def drawn(recordings: Numbers, fraction: float, seed: int) -> dict[str, list[int]]:
    """Return a test split with equal shares of each group."""
    keys = [(group, number) for group, numbers in recordings.items() for number in numbers]
    groups = list(recordings)
    labels = np.array([groups.index(group) for group, _ in keys], np.int64)
    chosen, _ = stratified_split(labels, fraction, seed)
    found: dict[str, list[int]] = {}
    for group, number in (keys[i] for i in chosen):
        found.setdefault(group, []).append(number)
    return found


def text(about: str, files: str, recordings: Numbers, test: Numbers, validation: Numbers) -> str:
    """Return the file of a split."""
    content = {"about": about, "files": files}
    for key, numbers in (("all", recordings), ("test", test), ("validation", validation)):
        if numbers:
            content[key] = {group: format_ranges(some) for group, some in numbers.items()}
    return yaml.safe_dump(content, sort_keys=False, width=96)


def of_the_package() -> dict[str, str]:
    """Return the package's files by their names."""
    last = {name: sorted(range(1000), key=str)[900:] for name in CIFAR10}
    gestures = {
        light: [user for user in range(1, 30) if user not in lacking]
        for light, lacking in GESTURE_LACKS.items()
    }
    tested = {light: [u for u in users if u >= 24] for light, users in gestures.items()}
    found = {
        "cifar10_dvs_last_tenth": text(
            "CIFAR10-DVS, 9 to 1: tested on the last 100 recordings of each class in the order of"
            " the names of their files, as SpikingJelly's split_to_train_test_set divides them.",
            CIFAR10_FILES,
            CIFAR10_ALL,
            last,
            {},
        ),
        "dvs_gesture": text(
            "DVS128 Gesture by its authors: trained on users 1 to 23, tested on 24 to 29.",
            "user{number}_{group}",
            gestures,
            tested,
            {},
        ),
        "nmnist": text(
            "N-MNIST by its authors: the folders Train and Test.",
            "{group}/*/{number}",
            N_MNIST,
            {"Test": N_MNIST["Test"]},
            {},
        ),
        "shd": text(
            "Spiking Heidelberg Digits by its authors: two speakers are in the test split alone.",
            "shd_{group}/{number}",
            SHD,
            {"test": SHD["test"]},
            {},
        ),
        "ssc": text(
            "Spiking Speech Commands by its authors.",
            "ssc_{group}/{number}",
            SSC,
            {"test": SSC["test"]},
            {"valid": SSC["valid"]},
        ),
    }
    for seed in range(3):
        found[f"cifar10_dvs_seed{seed}"] = text(
            f"CIFAR10-DVS, 9 to 1: 100 recordings of each class, drawn with seed {seed}.",
            CIFAR10_FILES,
            CIFAR10_ALL,
            drawn(CIFAR10_ALL, 0.1, seed),
            {},
        )
    return found


def of_a_folder(folder: Path, files: str, fraction: float, seed: int) -> str:
    """Return a split of the recordings in a folder."""
    known = SplitFile("", files, {}, {})
    found: dict[str, list[int]] = {}
    for path in files_below(folder, LeftOut()):
        key = known.key(path.as_posix()) if path.suffix.lower() in READERS else None
        if key is not None:
            found.setdefault(key[0], []).append(key[1])
    if not found:
        raise SystemExit(f"{folder} holds no recordings named {files}")
    about = f"{folder.name}: {fraction:g} of each group, drawn with seed {seed}."
    return text(about, files, found, drawn(found, fraction, seed), {})


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="folder of recordings")
    parser.add_argument("--files", default="{group}/*{number}", help="how their files are named")
    parser.add_argument("--fraction", type=float, default=0.1, help="share of the test split")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="file of the split, ending in .yaml")
    arguments = parser.parse_args(given)
    if arguments.folder is None:
        for name, content in of_the_package().items():
            write_text(FOLDER / f"{name}.yaml", content)
        return
    if arguments.output is None or arguments.output.suffix not in (".yaml", ".yml"):
        parser.error("--folder needs --output, a file whose name ends in .yaml")
    options = (arguments.files, arguments.fraction, arguments.seed)
    write_text(arguments.output, of_a_folder(arguments.folder, *options))


if __name__ == "__main__":
    main()
