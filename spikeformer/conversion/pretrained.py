"""Trained classifiers and language models of `transformers`, fed with our data modules' batches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from spikeformer.conversion.generation import generates
from spikeformer.conversion.preprocessing import Preprocessing
from spikeformer.data.tokenizer import Encoder, gguf_file
from spikeformer.error_handling import ConversionError, MissingDependencyError
from spikeformer.i18n import t

PROBE_SECONDS = 10.0

CLASSIFIERS = (
    "ForImageClassification",
    "ForImageClassificationWithTeacher",
    "ForSequenceClassification",
)
"""How the names of classes end that return logits of a whole input."""

LANGUAGE_MODELS = ("ForCausalLM", "LMHeadModel")
"""How the names of classes end that return logits of each next token."""

OWN_ATTENTION = ("eager", "sdpa", "flash_attention_2", "flex_attention")
"""Implementations of attention that are part of `transformers`."""


class PretrainedTransformer(nn.Module):
    """A network of `transformers` that takes images or token ids as our data modules give them.

    It is a classifier of images or sentences, or a causal language model, whose outputs are
    (batch, 1, tokens, vocabulary).

    Images in [0, 1] are scaled to the size and normalised with the mean and deviation that the
    model was trained with (its image processor's, `preprocessing.py`). The output has one timestep,
    so that it can be trained and tested as any other network here.

    Args:
        pretrained: A folder that `save_pretrained` wrote, a GGUF file of a language model, or a
            name on the Hugging Face hub.
        num_classes: Classes of the data; None accepts any number.

    Raises:
        ConversionError: There is no such model, it cannot be read, it is neither kind of network,
            it has another number of classes, or nothing says how its images are prepared.
        MissingDependencyError: `transformers` is not installed.
    """

    has_head: ClassVar[bool] = True
    """Its outputs are a task's, not features for a head."""

    def __init__(self, pretrained: str, num_classes: int | None = None) -> None:
        super().__init__()
        self.pretrained = str(pretrained)
        self.model = model = load_pretrained(self.pretrained)
        labels = model.config.num_labels
        self.language = generates(model)
        if not self.language and num_classes is not None and labels != num_classes:
            raise ConversionError(
                t(
                    "conversion.other_classes",
                    pretrained=pretrained,
                    labels=labels,
                    num_classes=num_classes,
                )
            )
        self.prepare: Preprocessing | None = None
        if model.main_input_name == "pixel_values":
            self.prepare = Preprocessing.of(self.pretrained, model.config)
        elif getattr(model.config, "pad_token_id", 0) is None:
            # Heads of decoders look for the last token that is no padding, which is this one.
            model.config.pad_token_id = model.config.eos_token_id

    def forward(
        self,
        images: Tensor | None = None,
        *,
        input_ids: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return logits, shape (batch, 1, classes), or of each token."""
        inputs: Any = images if images is not None else {"input_ids": input_ids, "mask": mask}
        logits: Tensor = self.model(**self.arguments(inputs)).logits
        return logits.unsqueeze(1)

    def arguments(self, inputs: Tensor | Mapping[str, Any]) -> dict[str, Any]:
        """Return the model's keyword arguments for the inputs of a batch.

        Raises:
            ConversionError: The model takes something else than the data gives.
        """
        if isinstance(inputs, Mapping):
            return self._tokens(inputs)
        if self.prepare is None:
            raise _mismatch(
                self.pretrained, t("conversion.token_ids"), t("conversion.images"), "data=sst2"
            )
        return {"pixel_values": self.prepare(inputs)}

    def _tokens(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        if self.prepare is not None:
            raise _mismatch(
                self.pretrained, t("conversion.images"), t("conversion.token_ids"), "data=cifar10"
            )
        ids, mask = inputs["input_ids"], inputs.get("mask")
        if int(ids.max()) >= self.num_tokens:
            raise ConversionError(
                t(
                    "conversion.unknown_token",
                    token=int(ids.max()),
                    pretrained=self.pretrained,
                    rows=self.num_tokens,
                )
            )
        if (longest := self._longest()) is not None and ids.shape[1] > longest:
            raise ConversionError(
                t(
                    "conversion.too_long",
                    length=ids.shape[1],
                    pretrained=self.pretrained,
                    longest=longest,
                )
            )
        given: dict[str, Any] = {"input_ids": ids}
        if mask is not None:
            given["attention_mask"] = mask.long()
        if self.language:
            given["use_cache"] = False  # nobody goes on with these texts
        return given

    @property
    def num_tokens(self) -> int:
        """Tokens that the model has embeddings of."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    def _longest(self) -> int | None:
        """Return how many tokens a text may have; None where the model sets no limit."""
        limit = getattr(self.model.config, "max_position_embeddings", None)
        for path, module in self.model.named_modules():
            if isinstance(module, nn.Embedding) and path.endswith("position_embeddings"):
                # RoBERTa counts from behind the padding token.
                before = 0 if module.padding_idx is None else module.padding_idx + 1
                return module.num_embeddings - before
        return limit if isinstance(limit, int) and limit > 0 else None

    def check_tokenizer(self, encoder: Encoder) -> None:
        """Refuse a tokenizer whose token ids mean something else to the model.

        Raises:
            ConversionError: It was trained on the data, is made up since its folder holds none, or
                has more tokens than the model, or less than half as many.
        """
        size = encoder.size
        reason = None
        if encoder.trained:
            reason = t("conversion.tokenizer_of_data")
        elif not _has_vocabulary(encoder.tokenizer):
            reason = t("conversion.no_tokenizer", name=encoder.tokenizer.name_or_path)
        elif not self.num_tokens // 2 <= size <= self.num_tokens:
            reason = t("conversion.other_vocabulary", size=size, rows=self.num_tokens)
        if reason is not None:
            raise ConversionError(
                t("conversion.tokenizer_does_not_fit", pretrained=self.pretrained, reason=reason)
            )


def _has_vocabulary(tokenizer: Any) -> bool:
    """Whether a tokenizer was read from files: without any, `transformers` makes an empty one."""
    from transformers.utils import cached_file

    options: dict[str, Any] = {
        "local_files_only": True,
        "_raise_exceptions_for_missing_entries": False,
        "_raise_exceptions_for_connection_errors": False,
    }
    if gguf_file(tokenizer.name_or_path)[1]:
        return True  # it is in the file with the weights
    files = tokenizer.vocab_files_names.values()
    return not files or any(cached_file(tokenizer.name_or_path, f, **options) for f in files)


def load_pretrained(name: str) -> Any:
    """Load a network from a local folder, the cache or the hub, in the class it was saved from.

    Language models come in single precision, those of GGUF files with their weights multiplied out.

    Raises:
        ConversionError: There is none, or it is neither a classifier nor a causal language model.
        MissingDependencyError: `transformers` is not installed.
    """
    try:
        import huggingface_hub
        import transformers
    except ImportError as error:
        raise MissingDependencyError(t("conversion.pretrained_needs_transformers")) from error
    place, file = gguf_file(name)
    local = Path(place).expanduser()
    options: dict[str, Any] = {"local_files_only": True, **file}
    try:
        try:
            config = read_config(place, **options)
        except (OSError, ValueError):
            if local.is_absolute() and not local.exists():  # else it is taken for a wrong name
                raise FileNotFoundError("There is no such folder.") from None
            if local.is_dir() or local.is_absolute() or file:
                raise
            # One short question first: offline, the loader itself retries for long.
            huggingface_hub.HfApi().model_info(name, timeout=PROBE_SECONDS)
            options = {}
            config = read_config(name)
        saved = (config.architectures or ["nothing"])[0]
        kind: Any = getattr(transformers, saved, None)
        if file:
            kind = transformers.AutoModelForCausalLM
        if not file and (kind is None or not saved.endswith((*CLASSIFIERS, *LANGUAGE_MODELS))):
            found = ", ".join(config.architectures or ["nothing"])
            raise ConversionError(t("conversion.no_classifier", name=name, found=found))
        if file or saved.endswith(LANGUAGE_MODELS):
            options["dtype"] = torch.float32
        elif kind.main_input_name not in ("pixel_values", "input_ids"):
            raise ConversionError(t("conversion.no_classifier", name=name, found=saved))
        model = kind.from_pretrained(place, trust_remote_code=False, **options)
        if file:
            _forget_quantisation(model)
    except ConversionError:
        raise
    except Exception as error:
        # Loaders raise what their storage, their network client and their parsers raise.
        raise ConversionError(
            t("conversion.cannot_load", name=name, reason=_first_line(error))
        ) from error
    return model.eval()


def _forget_quantisation(model: Any) -> None:
    """Let a model read from a GGUF file be saved: its weights are plain numbers by now."""
    model.hf_quantizer = None
    model.is_quantized = False
    for name in ("quantization_method", "_pre_quantization_dtype"):
        if hasattr(model, name):
            setattr(model, name, None)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


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


def _mismatch(name: str, takes: str, gives: str, remedy: str) -> ConversionError:
    return ConversionError(
        t("conversion.data_mismatch", name=name, takes=takes, gives=gives, remedy=remedy)
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
