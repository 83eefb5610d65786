"""Scores converted language models with the Language Model Evaluation Harness (`lm_eval`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spikeformer.conversion.checkpoint import load_converted
from spikeformer.conversion.generation import check_prompts, spiking_view
from spikeformer.conversion.model import SpikingModel
from spikeformer.error_handling import ArgumentError, MissingDependencyError


def harness_model(
    converted: SpikingModel | Path | str,
    tokenizer: Any = None,
    *,
    timesteps: int | None = None,
    **options: Any,
) -> Any:
    """Return a converted language model as `lm_eval` takes models; every pass spikes.

    Args:
        converted: A converted causal language model of `transformers`, or a folder with one, such
            as `converted/` of a run.
        tokenizer: Its tokenizer, or a folder with it; None takes that of the folder `converted`.
        timesteps: Timesteps of a pass; None leaves them as they are.
        **options: Further arguments of `lm_eval.models.huggingface.HFLM`, `batch_size` for one.

    Raises:
        ArgumentError: There is no tokenizer.
        ConversionError: The folder holds no converted network, or one that continues no texts.
        MissingDependencyError: `lm_eval` is not installed.

    Example:
        >>> import lm_eval                                              # doctest: +SKIP
        >>> model = harness_model("outputs/RUN/converted", timesteps=8)  # doctest: +SKIP
        >>> lm_eval.simple_evaluate(model=model, tasks=["arc_easy"])     # doctest: +SKIP

    Source: https://github.com/EleutherAI/lm-evaluation-harness
    """
    try:
        from lm_eval.models.huggingface import HFLM
    except ImportError as error:
        raise MissingDependencyError(
            "Scoring a converted language model needs the Language Model Evaluation Harness: "
            'install it with pip install "spikeformer[lm-eval]".'
        ) from error
    if not isinstance(converted, SpikingModel):
        tokenizer = str(converted) if tokenizer is None else tokenizer
        converted = load_converted(converted)
    if tokenizer is None:
        raise ArgumentError("tokenizer", None, "the model's tokenizer, or a folder with it")
    check_prompts(converted.original, None)
    if timesteps is not None:
        converted.timesteps = timesteps
    if isinstance(tokenizer, str | Path):
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(
            tokenizer, local_files_only=True, trust_remote_code=False
        )
    view = spiking_view(converted, converted.original)
    return HFLM(pretrained=view, tokenizer=tokenizer, **options)
