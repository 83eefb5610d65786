"""Adds up, sample by sample, how a converted network's outputs compare with its original's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_leaves

from spikeformer.conversion.outputs import class_scores
from spikeformer.data.batch import num_samples
from spikeformer.error_handling import ConversionError

IGNORED = -100
"""The target of a position at which no token is predicted."""


class Scores(NamedTuple):
    """Logits of samples with what is right.

    Attributes:
        logits: (samples, classes).
        targets: (samples,) int64; None if nobody knows.
    """

    logits: Tensor
    targets: Tensor | None


class Tally:
    """Comparisons of one or several batches, output by output.

    Of a language model every token that it predicts is a sample, and its classes are the tokens.

    Args:
        confidence: Probability of the likeliest class at which a sample leaves early; None if none
            does.
        tokens: Whether logits are those of tokens, (batch, tokens, classes).
        count_bytes: Says how many bytes of text some target tokens are, shape (tokens,).

    Attributes:
        samples: Samples so far.
        sums: By name of a figure its sum over the samples for each timestep: "right", "same",
            "errors", "surprise" (-ln p of the target) and "divergence" (KL from the original).
        original: Sums of the original: "right" and "surprise".
        exits: Likewise with early exit: "steps", "right" and "same"; empty without one.
        num_bytes: Bytes of text that were predicted.
    """

    def __init__(
        self,
        confidence: float | None,
        tokens: bool = False,
        count_bytes: Callable[[Tensor], int] | None = None,
    ) -> None:
        self.confidence, self.tokens, self.count_bytes = confidence, tokens, count_bytes
        self.samples = self.num_bytes = 0
        self.sums: dict[str, list[float]] = {}
        self.original: dict[str, float] = {}
        self.exits: dict[str, float] = {}
        self._kept: Tensor | None = None
        self._scores: Scores | None = None
        self._left: Tensor | None = None

    @property
    def num_steps(self) -> int:
        """Outputs of a call."""
        return len(self.sums["errors"])

    def share(self, name: str, index: int) -> float | None:
        """Return a sum in parts of all samples, if there is one."""
        return self.sums[name][index] / self.samples if name in self.sums else None

    def perplexity(self, index: int | None) -> float | None:
        """Return exp of the mean surprise at a timestep; None stands for the original."""
        if not self.tokens:
            return None
        surprise = self.original["surprise"] if index is None else self.sums["surprise"][index]
        return math.exp(surprise / self.samples)

    def begin(self, inputs: Any, wanted: Any, targets: Tensor | None) -> int:
        """Begin a batch with the original's output; return how many samples it has."""
        self._kept = None
        if self.tokens:
            targets = next_tokens(inputs) if targets is None else targets
            self._kept = (targets != IGNORED).flatten()
            targets = targets.flatten()[self._kept]
            if self.count_bytes is not None:
                self.num_bytes += self.count_bytes(targets)
        self._wanted = wanted
        self._scores = self._scores_of(wanted, targets)
        size = len(_first(wanted)) if self._scores is None else len(self._scores.logits)
        self.samples += size
        self._step, self._left = 0, None
        if self._scores is not None:
            logits, targets = self._scores
            self._classes = logits.argmax(dim=-1)
            self._likely = logits.log_softmax(dim=-1)
            if targets is not None:
                right = float((self._classes == targets).sum())
                _add(self.original, "right", right)
                _add(
                    self.original,
                    "surprise",
                    float(F.nll_loss(self._likely, targets, reduction="sum")),
                )
        return size

    def add(self, output: Any, last: bool) -> None:
        """Compare the output of the next timestep."""
        scores = None
        if self._scores is None:
            self._sum("errors", _relative_errors(_first(output), _first(self._wanted)))
        else:
            scores = self._scores_of(output, self._scores.targets)
            assert scores is not None
            self._sum("errors", _relative_errors(scores.logits, self._scores.logits))
            likely = scores.logits.log_softmax(dim=-1)
            chosen = scores.logits.argmax(dim=-1)
            self._sum("same", (chosen == self._classes).sum())
            self._sum(
                "divergence", F.kl_div(likely, self._likely, log_target=True, reduction="sum")
            )
            if scores.targets is not None:
                self._sum("right", (chosen == scores.targets).sum())
                self._sum("surprise", F.nll_loss(likely, scores.targets, reduction="sum"))
            if self.confidence is not None:
                self._exit(likely.amax(dim=-1).exp() >= self.confidence, chosen, last)
        self._step += 1

    def _exit(self, clear: Tensor, chosen: Tensor, last: bool) -> None:
        assert self._scores is not None
        here = clear | last  # nobody stays longer
        leaving = here if self._left is None else here & ~self._left
        self._left = here if self._left is None else self._left | here
        _add(self.exits, "steps", float(leaving.sum()) * (self._step + 1))
        _add(self.exits, "same", float((chosen == self._classes)[leaving].sum()))
        if self._scores.targets is not None:
            _add(self.exits, "right", float((chosen == self._scores.targets)[leaving].sum()))

    def _scores_of(self, output: Any, targets: Tensor | None) -> Scores | None:
        """Return the logits of an output, a row for each sample; None if it has no classes."""
        if self._kept is not None:
            logits = output.logits.flatten(0, 1)[self._kept.to(output.logits.device)]
        else:
            try:
                logits = class_scores(output)
            except ConversionError:
                return None
        return Scores(logits.float(), None if targets is None else targets.to(logits.device))

    def _sum(self, name: str, value: Tensor) -> None:
        sums = self.sums.setdefault(name, [])
        sums += [0.0] * (self._step + 1 - len(sums))
        sums[self._step] += float(value)


def next_tokens(inputs: Any) -> Tensor:
    """Return what a language model is to predict: each token's successor, (batch, tokens).

    Args:
        inputs: Keyword arguments of the model, `input_ids` among them, or the token ids.
    """
    ids, mask = inputs, None
    if isinstance(inputs, Mapping):
        decoded = "decoder_input_ids" in inputs
        ids = inputs["decoder_input_ids" if decoded else "input_ids"]
        mask = None if decoded else inputs.get("attention_mask", inputs.get("mask"))
    elif isinstance(inputs, tuple):
        ids = inputs[0]
    targets = torch.full_like(ids, IGNORED)
    targets[:, :-1] = ids[:, 1:]
    if mask is not None:
        both = mask[:, 1:].bool() & mask[:, :-1].bool()
        targets[:, :-1] = targets[:, :-1].where(both, IGNORED)
    return targets


def num_tokens(inputs: Any) -> int:
    """Return how many tokens the texts of a batch have, without padding."""
    if isinstance(inputs, Mapping):
        mask = inputs.get("attention_mask", inputs.get("mask"))
        if mask is not None:
            return int(mask.sum())
        inputs = inputs.get("input_ids", inputs)
    first = inputs[0] if isinstance(inputs, tuple) else inputs
    return first.numel() if isinstance(first, Tensor) else num_samples(inputs)


def _add(sums: dict[str, float], name: str, value: float) -> None:
    sums[name] = sums.get(name, 0.0) + value


def _first(output: Any) -> Tensor:
    """Return the first floating-point tensor of an output, the one that matters."""
    return next(
        leaf
        for leaf in tree_leaves(output)
        if isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.ndim
    )


def _relative_errors(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return the sum over samples of |ours - theirs| / |theirs|."""
    ours, theirs = (x.reshape(len(x), -1) for x in (ours, theirs))
    return ((ours - theirs).norm(dim=1) / theirs.norm(dim=1).clamp(min=1e-12)).sum()
