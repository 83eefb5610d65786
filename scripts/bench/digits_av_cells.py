"""What `digits_av.py` measured, by noise and by what predicted it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

SWEEPS = {
    "vision": "noise in the image",
    "audio": "noise in the sound",
    "both": "noise in both",
}
BOTH = "vision,audio"
RECIPE = "late"
# What shows how much each modality counts, by the fusion.
ATTENTION = {
    "late": "weight of the prediction",
    "cross_attention": "open gates of cross-modal attention",
}
FUSIONS = {
    "late": "late (the recipe)",
    "cross_attention": "cross-modal attention",
    "gated": "gated",
    "concat": "concatenation",
}
# What is compared: a label, and the network and modalities that predict. A network of one modality
# knows no other; that of both is tested with the other left out as well.
PREDICTIONS = {
    "both": ("both modalities", BOTH, "accuracy"),
    "vision_alone": ("image alone", BOTH, "vision_alone"),
    "vision_only": ("image-only network", "vision", "accuracy"),
    "audio_alone": ("sound alone", BOTH, "audio_alone"),
    "audio_only": ("sound-only network", "audio", "accuracy"),
}
MODALITIES = {"vision": "image", "audio": "sound"}
NOISES = {"vision": "image_noise", "audio": "snr_db"}


def of(runs: list[dict], split: str, modalities: str | None = None) -> list[dict]:
    """Return the runs of a split, or those of them that were trained with given modalities."""
    found = [run for run in runs if run["split"] == split]
    return (
        found
        if modalities is None
        else [r for r in found if ",".join(r["modalities"]) == modalities]
    )


def by_fusion(runs: list[dict], fusion: str) -> list[dict]:
    """Return the runs with all speakers that know one fusion, and those of one modality."""
    return [r for r in of(runs, "recordings") if r["fusion"] in (fusion, None)]


@dataclass(frozen=True)
class Cell:
    """Noise of the test samples, and what every seed's network predicted.

    Attributes:
        name: The noise in words.
        accuracies: By the names of `PREDICTIONS`, one for each seed.
        attention: How much each modality counts, one for each seed.
    """

    name: str
    accuracies: dict[str, list[float]]
    attention: dict[str, list[float]]

    @property
    def best(self) -> tuple[str, float]:
        """The better of all predictions from one modality, and its mean accuracy."""
        means = {k: statistics.fmean(v) for k, v in self.accuracies.items() if k != "both"}
        best = max(means, key=lambda key: means[key])
        return best, means[best]

    @property
    def gain(self) -> float:
        """Mean accuracy of both modalities over that of the better one."""
        return statistics.fmean(self.accuracies["both"]) - self.best[1]

    @property
    def own_gain(self) -> float:
        """The same over the same network with a modality left out."""
        alone = (self.accuracies[f"{modality}_alone"] for modality in MODALITIES)
        return statistics.fmean(self.accuracies["both"]) - max(map(statistics.fmean, alone))


def cells(runs: list[dict], sweep: str) -> list[Cell]:
    """Return the cells of a sweep."""
    return [
        Cell(
            words(condition),
            {
                prediction: [
                    at(run, modalities, condition)[key]
                    for run in of(runs, "recordings", modalities)
                ]
                for prediction, (_, modalities, key) in PREDICTIONS.items()
                if of(runs, "recordings", modalities)
            },
            {
                modality: [
                    at(r, BOTH, condition).get("attention", {}).get(modality) for r in fused(runs)
                ]
                for modality in MODALITIES
            },
        )
        for condition in fused(runs)[0]["results"]
        if condition["sweep"] == sweep
    ]


def fused(runs: list[dict]) -> list[dict]:
    """Return the runs that were trained with both modalities and all speakers."""
    return of(runs, "recordings", BOTH)


def at(run: dict, modalities: str, condition: dict) -> dict:
    """Return a run's result under a condition; noise in a modality it lacks makes no difference."""
    keys = [NOISES[modality] for modality in modalities.split(",")]
    return next(r for r in run["results"] if all(r[key] == condition[key] for key in keys))


def words(condition: dict) -> str:
    """Name a condition: what the swept modalities get."""
    sound = "clean" if condition["snr_db"] is None else f"{condition['snr_db']:g} dB"
    image = f"{condition['image_noise']:g}"
    return {"vision": image, "audio": sound, "both": f"{image}, {sound}"}[condition["sweep"]]
