"""Trained classifiers of `transformers`, fed with the batches of SpikeFormer's data modules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikeformer.error_handling import ConversionError, MissingDependencyError
from spikeformer.i18n import t

PROBE_SECONDS = 10.0

OWN_ATTENTION = ("eager", "sdpa", "flash_attention_2", "flex_attention")
"""Implementations of attention that are part of `transformers`."""


class PretrainedTransformer(nn.Module):
    """A classifier of `transformers` that takes images or token ids as our data modules give them.

    Images in [0, 1] are scaled to the size and normalised with the mean and deviation that the
    model was trained with (its image processor's). The output has one timestep, so that it can be
    trained and tested as any other network here.

    Args:
        pretrained: A folder that `save_pretrained` wrote, or a name on the Hugging Face hub.
        num_classes: Classes of the data; None accepts any number.

    Raises:
        ConversionError: There is no such model, it cannot be read, it is no classifier, or it has
            another number of classes.
        MissingDependencyError: `transformers` is not installed.
    """

    has_head: ClassVar[bool] = True
    """Its outputs are a task's, not features for a head."""

    def __init__(self, pretrained: str, num_classes: int | None = None) -> None:
        super().__init__()
        self.pretrained = str(pretrained)
        self.model = model = load_pretrained(self.pretrained)
        labels = model.config.num_labels
        if num_classes is not None and labels != num_classes:
            raise ConversionError(
                t(
                    "conversion.other_classes",
                    pretrained=pretrained,
                    labels=labels,
                    num_classes=num_classes,
                )
            )
        self.image_size: tuple[int, int] | None = None
        if model.main_input_name == "pixel_values":
            size = model.config.image_size
            self.image_size = (size, size) if isinstance(size, int) else tuple(size)
            channels = model.config.num_channels
            self.mean: Tensor
            self.deviation: Tensor
            for name, values in _normalisation(self.pretrained, channels).items():
                self.register_buffer(name, values, persistent=False)

    def forward(
        self,
        images: Tensor | None = None,
        *,
        input_ids: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return logits, shape (batch, 1, classes)."""
        inputs: Any = images if images is not None else {"input_ids": input_ids, "mask": mask}
        logits: Tensor = self.model(**self.arguments(inputs)).logits
        return logits.unsqueeze(1)

    def arguments(self, inputs: Tensor | Mapping[str, Any]) -> dict[str, Tensor]:
        """Return the model's keyword arguments for the inputs of a batch.

        Raises:
            ConversionError: The model takes something else than the data gives.
        """
        if isinstance(inputs, Mapping):
            if self.image_size is not None:
                raise _mismatch(
                    self.pretrained,
                    t("conversion.images"),
                    t("conversion.token_ids"),
                    "data=cifar10",
                )
            mask = inputs.get("mask")
            ids: Tensor = inputs["input_ids"]
            rows = self.model.get_input_embeddings().weight.shape[0]
            if int(ids.max()) >= rows:
                raise ConversionError(
                    t(
                        "conversion.unknown_token",
                        token=int(ids.max()),
                        pretrained=self.pretrained,
                        rows=rows,
                    )
                )
            return {"input_ids": ids, **({} if mask is None else {"attention_mask": mask.long()})}
        if self.image_size is None:
            raise _mismatch(
                self.pretrained, t("conversion.token_ids"), t("conversion.images"), "data=sst2"
            )
        images = inputs
        if images.shape[1] == 1 and self.mean.shape[0] == 3:
            images = images.expand(-1, 3, -1, -1)
        if images.shape[-2:] != self.image_size:
            images = F.interpolate(images, self.image_size, mode="bilinear", antialias=True)
        return {"pixel_values": (images - self.mean) / self.deviation}


def load_pretrained(name: str) -> Any:
    """Load a classifier from a local folder, the cache or the hub, in the class it was saved from.

    Raises:
        ConversionError: There is none, or it is no classifier.
        MissingDependencyError: `transformers` is not installed.
    """
    try:
        import huggingface_hub
        import transformers
    except ImportError as error:
        raise MissingDependencyError(t("conversion.pretrained_needs_transformers")) from error
    local = Path(name).expanduser()
    options: dict[str, Any] = {"local_files_only": True}
    try:
        try:
            config = read_config(name, **options)
        except (OSError, ValueError):
            if local.is_dir() or local.is_absolute():
                raise
            # One short question first: without a network the loader itself retries for long.
            huggingface_hub.HfApi().model_info(name, timeout=PROBE_SECONDS)
            options = {}
            config = read_config(name)
        kind = getattr(transformers, (config.architectures or ["none"])[0], None)
        if kind is None or not kind.__name__.endswith(
            ("ForImageClassification", "ForSequenceClassification")
        ):
            saved = ", ".join(config.architectures or ["nothing"])
            raise ConversionError(t("conversion.no_classifier", name=name, found=saved))
        model = kind.from_pretrained(name, trust_remote_code=False, **options)
    except ConversionError:
        raise
    except Exception as error:
        # Loaders raise what their storage, their network client and their parsers raise.
        raise ConversionError(
            t("conversion.cannot_load", name=name, reason=_first_line(error))
        ) from error
    return model.eval()


def read_config(name: str, **options: Any) -> Any:
    """Read a model's configuration; one that asks for code of its own is refused.

    `auto_map` names Python files beside the weights, and an attention implementation that is not
    part of `transformers` is downloaded and run.

    Args:
        name: A folder, or a name on the Hugging Face hub.
        **options: Arguments of `AutoConfig.from_pretrained`.

    Raises:
        ConversionError: It asks for foreign code.
    """
    from transformers import AutoConfig, PreTrainedConfig

    values, _ = PreTrainedConfig.get_config_dict(name, **options)
    if (key := _foreign_code(values)) is not None:
        raise ConversionError(t("conversion.foreign_code", name=name, key=key))
    return AutoConfig.from_pretrained(name, trust_remote_code=False, **options)


def _foreign_code(values: Any) -> str | None:
    """Return the key of a configuration, at any depth, that would bring code in."""
    if isinstance(values, list | tuple):
        values = dict(enumerate(values))
    if not isinstance(values, Mapping):
        return None
    for key, value in values.items():
        attention = "attn_implementation" in str(key) and isinstance(value, str | Mapping)
        if (key == "auto_map" and value) or (attention and value not in OWN_ATTENTION):
            return str(key)
        if (inner := _foreign_code(value)) is not None:
            return inner
    return None


def _normalisation(name: str, channels: int) -> dict[str, Tensor]:
    """Return mean and deviation of each channel that a model was trained with."""
    from transformers.image_processing_base import ImageProcessingMixin

    try:
        # The file itself: the processor's class may need packages that nothing here does.
        values, _ = ImageProcessingMixin.get_image_processor_dict(name)
    except OSError:
        values = {}
    if values.get("do_normalize", True):
        mean = values.get("image_mean") or [0.5] * channels
        deviation = values.get("image_std") or [0.5] * channels
    else:
        mean, deviation = [0.0] * channels, [1.0] * channels
    numbers = {"mean": mean, "deviation": deviation}
    return {key: torch.tensor(value).reshape(-1, 1, 1) for key, value in numbers.items()}


def _mismatch(name: str, takes: str, gives: str, remedy: str) -> ConversionError:
    return ConversionError(
        t("conversion.data_mismatch", name=name, takes=takes, gives=gives, remedy=remedy)
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
