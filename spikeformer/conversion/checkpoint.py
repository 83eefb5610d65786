"""Converted networks on disk: weights as safetensors, everything else as JSON, no code.

folder/
  conversion.json       coding, timesteps, what the analysis found, thresholds' sites, and the
                        class of the original if it is one of `transformers`
  model.safetensors     weights of the original and thresholds
  config.json           configuration of the original, for models of `transformers`
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spikeformer.conversion.coding.coding import Coding
from spikeformer.conversion.converter import write_out_attention
from spikeformer.conversion.model import SpikingModel
from spikeformer.conversion.pretrained import safe_config
from spikeformer.conversion.tracing.plan import Plan
from spikeformer.error_handling import ConversionError, MissingDependencyError
from spikeformer.files import replacing, write_json
from spikeformer.i18n import t

FORMAT = 1


def save_converted(spiking: SpikingModel, folder: Path | str) -> Path:
    """Write a converted network into a folder.

    Raises:
        MissingDependencyError: `safetensors` is not installed.

    Example:
        >>> import tempfile
        >>> snn = SpikeformerConverter(timesteps=4).convert(torch.nn.Linear(8, 2).eval())
        >>> folder = save_converted(snn, tempfile.mkdtemp())
        >>> load_converted(folder, torch.nn.Linear(8, 2)).timesteps
        4
    """
    safetensors = _safetensors()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    original = spiking.original
    known = type(original).__module__.startswith("transformers.")
    if known:
        original.config.save_pretrained(folder)  # type: ignore[union-attr, operator]
    with replacing(folder / "model.safetensors") as path:
        safetensors.save_model(spiking, str(path))
    write_json(
        folder / "conversion.json",
        {
            "format": FORMAT,
            "class": type(original).__name__,
            "transformers": known,
            "coding": spiking.coding.to_dict(),
            "timesteps": spiking.timesteps,
            "confidence": spiking.confidence,
            "thresholds": [
                {"site": site, "shape": list(theta.shape)}
                for site, theta in spiking.thresholds.by_site().items()
            ],
            "plan": spiking.plan.to_dict(),
            "trade_off": spiking.trade_off,
            "choice": spiking.choice,
        },
    )
    return folder


def load_converted(folder: Path | str, ann_model: nn.Module | None = None) -> SpikingModel:
    """Read what `save_converted` wrote.

    Args:
        folder: The folder.
        ann_model: A network of the original's architecture, whose weights do not matter. Models of
            `transformers` are made from their configuration and need none.

    Raises:
        ConversionError: The folder holds no converted network, or one of another architecture.
        MissingDependencyError: A package is not installed.
    """
    folder = Path(folder)
    content = _read(folder / "conversion.json")
    if ann_model is None:
        ann_model = _make(content, folder)
    write_out_attention(ann_model)
    spiking = SpikingModel(
        ann_model.eval(), Coding(**content["coding"]), content["timesteps"], content["confidence"]
    )
    spiking.plan = Plan.from_dict(content["plan"])
    spiking.trade_off, spiking.choice = content["trade_off"], content["choice"]
    for entry in content["thresholds"]:
        spiking.thresholds.set(entry["site"], torch.empty(entry["shape"]))
    try:
        _safetensors().load_model(spiking, str(folder / "model.safetensors"))
    except (RuntimeError, OSError) as error:
        raise ConversionError(
            t(
                "conversion.weights_do_not_fit",
                folder=folder,
                network=type(ann_model).__name__,
                reason=str(error).splitlines()[0],
                name=content["class"],
            )
        ) from error
    return spiking


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConversionError(
            t("conversion.no_converted", folder=path.parent, file=path.name, reason=error)
        ) from error
    if content.get("format") != FORMAT:
        raise ConversionError(
            t("conversion.other_format", path=path, found=content.get("format"), expected=FORMAT)
        )
    return content


def _make(content: dict[str, Any], folder: Path) -> nn.Module:
    if not content["transformers"]:
        raise ConversionError(t("conversion.needs_class", folder=folder, name=content["class"]))
    try:
        import transformers
    except ImportError as error:
        raise MissingDependencyError(t("conversion.needs_transformers")) from error
    made = getattr(transformers, str(content["class"]), None)
    if not (isinstance(made, type) and issubclass(made, transformers.PreTrainedModel)):
        raise ConversionError(t("conversion.unknown_class", name=content["class"]))
    network: nn.Module = made(safe_config(str(folder), local_files_only=True))
    return network


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise MissingDependencyError(t("conversion.needs_safetensors")) from error
    return safetensors.torch
