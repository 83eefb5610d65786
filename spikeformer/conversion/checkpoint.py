"""Converted networks on disk: weights as safetensors, everything else as JSON, no code.

folder/
  conversion.json       coding, timesteps, what the analysis found, thresholds' sites, and the
                        class of the original if it is one of `transformers`
  model.safetensors     weights of the original and thresholds
  config.json           configuration of the original, for models of `transformers`
"""

from __future__ import annotations

import errno
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import safetensors.torch
import torch
from torch import nn

from spikeformer.conversion.coding.coding import Coding
from spikeformer.conversion.converter import write_out_attention
from spikeformer.conversion.model import SpikingModel
from spikeformer.conversion.pretrained import read_config
from spikeformer.conversion.tracing.plan import ConversionPlan
from spikeformer.error_handling import ConversionError, MissingDependencyError, SpikeformerError
from spikeformer.files import UnreadableFileError, read_json, write_json
from spikeformer.i18n import t
from spikeformer.instrument import uncompiled
from spikeformer.models.weights import (
    Layout,
    read_layout,
    save_weights,
    take_precision,
)

FORMAT = 2
MAX_TIMESTEPS = 2**16


@dataclass(frozen=True)
class _Version:
    format: int


@dataclass(frozen=True)
class ConversionFile:
    """What `conversion.json` holds.

    Attributes:
        format: Version of this class.
        network: Class of the original.
        transformers: Whether that is one of `transformers`.
        coding: How activations are encoded.
        timesteps: Timesteps of a call.
        confidence: Probability at which a sample leaves early.
        thresholds: Sites in the order of their buffers.
        plan: What the analysis found.
        trade_off: What fewer levels and timesteps were measured to cost.
        choice: Which of them was taken.
    """

    format: int
    network: str
    transformers: bool
    coding: Coding
    timesteps: Annotated[int, msgspec.Meta(ge=1, le=MAX_TIMESTEPS)]
    confidence: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] | None
    thresholds: list[str]
    plan: ConversionPlan
    trade_off: list[dict[str, float | int | None]]
    choice: dict[str, str | float | int | None]


def save_converted(spiking: SpikingModel, folder: Path | str) -> Path:
    """Write a converted network into a folder.

    Example:
        >>> import tempfile
        >>> snn = SpikeformerConverter(timesteps=4).convert(torch.nn.Linear(8, 2).eval())
        >>> folder = save_converted(snn, tempfile.mkdtemp())
        >>> load_converted(folder, torch.nn.Linear(8, 2)).timesteps
        4
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    original = spiking.original
    known = type(original).__module__.startswith("transformers.")
    if known:
        original.config.save_pretrained(folder)  # type: ignore[union-attr, operator]
    save_weights(spiking, folder / "model.safetensors")
    content = ConversionFile(
        format=FORMAT,
        network=type(original).__name__,
        transformers=known,
        coding=spiking.coding,
        timesteps=spiking.timesteps,
        confidence=spiking.confidence,
        thresholds=spiking.thresholds.names,
        plan=spiking.plan,
        trade_off=spiking.trade_off,
        choice=spiking.choice,
    )
    write_json(folder / "conversion.json", asdict(content))
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
    content, weights = _read(folder / "conversion.json"), folder / "model.safetensors"
    if not weights.is_file():
        absent = {"file": weights.name, "reason": os.strerror(errno.ENOENT)}
        raise ConversionError(t("conversion.no_converted", folder=folder, **absent))
    try:
        layout = read_layout(weights)
        if ann_model is None:
            ann_model = _make(content, folder, layout)
        ann_model = uncompiled(ann_model)
        write_out_attention(ann_model)
        spiking = SpikingModel(
            ann_model.eval(), content.coding, content.timesteps, content.confidence
        )
        spiking.plan = content.plan
        spiking.trade_off, spiking.choice = content.trade_off, content.choice
        for index, site in enumerate(content.thresholds):
            shape, dtype = layout[f"thresholds.site{index}"]
            spiking.thresholds.set(site, torch.empty(shape, dtype=dtype))
        take_precision(spiking, layout)
        safetensors.torch.load_model(spiking, str(weights))
        _check_thresholds(spiking)
    except SpikeformerError:
        raise
    except Exception as error:
        # A stranger's weights and configuration make their readers raise what they like.
        raise ConversionError(
            t(
                "conversion.weights_do_not_fit",
                folder=folder,
                network=content.network if ann_model is None else type(ann_model).__name__,
                reason=(str(error) or type(error).__name__).splitlines()[0],
                name=content.network,
            )
        ) from error
    return spiking


def _read(path: Path) -> ConversionFile:
    try:
        found = read_json(path, _Version).format
        if found != FORMAT:
            raise ConversionError(
                t("conversion.other_format", path=path, found=found, expected=FORMAT)
            )
        content = read_json(path, ConversionFile)
        _check_plan(content)
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, UnreadableFileError) else error
        raise ConversionError(
            t("conversion.no_converted", folder=path.parent, file=path.name, reason=reason)
        ) from error
    return content


def _check_plan(content: ConversionFile) -> None:
    """Refuse a plan that names what is not in it, before a call stumbles over it."""
    sites, names = content.plan.sites, set(content.thresholds)
    used = {site for op in content.plan.operations.values() for site in op.sites.values()}
    if strangers := (used - {None} - set(sites)) or {s.source for s in sites.values()} - names:
        raise ValueError(f"no site is called {min(map(str, strangers))!r}")
    if len(names) < len(content.thresholds):
        raise ValueError("two thresholds have one site")


def _check_thresholds(spiking: SpikingModel) -> None:
    for site, theta in spiking.thresholds.by_site().items():
        if not bool(((theta > 0) & theta.isfinite()).all()):
            raise ValueError(f"expected thresholds above 0 for {site!r}")


def _make(content: ConversionFile, folder: Path, layout: Layout) -> nn.Module:
    if not content.transformers:
        raise ConversionError(
            f"{folder} holds a converted {content.network}, whose code is not saved with it. "
            "Pass a network of that class: load_converted(folder, ann_model)."
        )
    try:
        import transformers
    except ImportError as error:
        raise MissingDependencyError(t("conversion.needs_transformers")) from error
    made = getattr(transformers, content.network, None)
    if not (isinstance(made, type) and issubclass(made, transformers.PreTrainedModel)):
        raise ConversionError(t("conversion.unknown_class", name=content.network))
    config = read_config(str(folder), local_files_only=True)
    # Without memory first: a configuration can name any size, and the weights tell the right one.
    with torch.device("meta"):
        shapes = {name: list(p.shape) for name, p in made(config).named_parameters()}
    for name, shape in shapes.items():
        saved, _ = layout.get(f"original.{name}", (shape, None))
        if saved != shape:
            raise ValueError(f"`{name}` has shape {saved}, {content.network} takes {shape}.")
    network: nn.Module = made(config)
    return network
