"""Texts from the hub or from parquet, CSV, JSON or text files, as token ids."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import Dataset

from spikeformer.data.datasets import TokenBatches
from spikeformer.data.layout import LeftOut
from spikeformer.data.sources import files_of
from spikeformer.data.tables import Part, TableDataModule, TableOptions
from spikeformer.data.tokenizer import (
    Encoder,
    encoder_from,
    pretrained_encoder,
    trained_encoder,
    vocabulary_hash,
)
from spikeformer.error_handling import ArgumentError, DataError, check_choice, check_positive_int
from spikeformer.files import files_in
from spikeformer.i18n import t


class TextDataModule(TableDataModule):
    """Sentences, `{"input_ids": (batch, seq_len), "mask": (batch, seq_len)}`.

    A batch is padded to its longest sentence; the mask is True at real tokens, of which every
    sample has at least one. With `task="causal_lm"` the target is (batch, seq_len) int64, the
    next token of each position and -100 at padding, and the labels of the data are not read.

    With `packing` the texts of a split are one stream of tokens, cut into blocks of `max_length`
    that each predict the token behind them too: nothing is lost, and only the last block of a split
    is padded. Samples of tables are documents, each ended by the tokenizer's end of text; plain
    text is one document. Splits are then taken from the end of the training split, so that what is
    tested on is not the line after one trained on.

    Args:
        text_key: Column of the sentences; None finds it by its type.
        task: "classification" or "causal_lm".
        max_length: Most tokens of a sample; longer ones lose their end.
        vocab_size: Size of the embedding table. A tokenizer trained here gets at most this many
            tokens; a pretrained one must not have more. None takes the pretrained one's.
        tokenizer: None trains a tokenizer on the training split; else a local folder, or a name
            on the hub, for `transformers.AutoTokenizer`.
        tokenizer_kind: What to train: "bpe" (byte-level, every text has an encoding) or
            "word" (the most frequent words in lower case; all others become one token).
        packing: Cut the texts into blocks, for `task="causal_lm"`.
        **table: The arguments of `TableDataModule`; `cache_dir` also keeps trained tokenizers.

    Raises:
        ArgumentError: A value is outside its range.
        DataError: In `setup`, if the data is absent, unreadable or not what the keys say.
        MissingDependencyError: `datasets`, `tokenizers` or `transformers` is missing.

    Example:
        >>> data = TextDataModule(source="stanfordnlp/sst2", num_classes=2, vocab_size=8000)
        >>> data.num_classes
        2
    """

    def __init__(
        self,
        *,
        text_key: str | None = None,
        task: str = "classification",
        max_length: int = 64,
        vocab_size: int | None = 8000,
        tokenizer: str | None = None,
        tokenizer_kind: str = "bpe",
        packing: bool = False,
        **table: Unpack[TableOptions],
    ) -> None:
        super().__init__(**table)
        self.text_key = text_key
        self.task = check_choice("task", task, ("classification", "causal_lm"))
        self.max_length = check_positive_int("max_length", max_length)
        if vocab_size is None and tokenizer is None:
            raise ArgumentError(
                "vocab_size", None, "a number of tokens, unless `tokenizer` is given"
            )
        self.vocab_size = vocab_size
        if vocab_size is not None:
            check_positive_int("vocab_size", vocab_size)
        self.tokenizer = tokenizer
        self.tokenizer_kind = check_choice("tokenizer_kind", tokenizer_kind, ("bpe", "word"))
        # 256 bytes and the special tokens are there before anything is learnt.
        if tokenizer is None and tokenizer_kind == "bpe" and (vocab_size or 0) < 260:
            raise ArgumentError("vocab_size", vocab_size, "at least 260 for a byte-level tokenizer")
        if packing and self.needs_labels:
            raise ArgumentError("packing", packing, 'False, unless task="causal_lm"')
        self.packing = packing
        self._encoder: Encoder | None = None

    @property
    def needs_labels(self) -> bool:
        """Whether the task has classes; language modelling has none."""
        return self.task == "classification"

    @property
    def num_classes(self) -> int:
        """Number of classes; `vocab_size` in language modelling."""
        if self.needs_labels:
            return super().num_classes
        return self.vocab_size or self.encoder.size

    @property
    def encoder(self) -> Encoder:
        """The tokenizer and its special ids, after `setup`."""
        _ = self.splits
        assert self._encoder is not None
        return self._encoder

    def build(self, parts: dict[str, Part]) -> dict[str, Dataset[Any]]:
        """Load or train the tokenizer and encode the sentences of each part."""
        column = parts["train"].column("text", self.text_key)
        texts = {name: _sentences(part, column) for name, part in parts.items()}
        if self.tokenizer is not None:
            encoder = pretrained_encoder(self.tokenizer)
        elif self.given is not None and self.given.tokenizer is not None:
            encoder = encoder_from(self.given.tokenizer)
        else:
            assert self.vocab_size is not None
            encoder = trained_encoder(
                texts["train"], self.tokenizer_kind, self.vocab_size, self._cache_folder()
            )
        if self.vocab_size is None:
            self.vocab_size = encoder.size
        if encoder.size > self.vocab_size:
            raise DataError(
                t(
                    "data.vocab_size",
                    configured=self.vocab_size,
                    tokenizer=self.tokenizer,
                    size=encoder.size,
                )
            )
        self._encoder = encoder
        return {name: self._build(part, texts[name], encoder) for name, part in parts.items()}

    def fitted(self) -> dict[str, Any]:
        """Return the tokenizer that was trained here, or what tells a pretrained one."""
        encoder = self._encoder
        assert encoder is not None
        if encoder.trained:
            return {"tokenizer": encoder.tokenizer.to_str()}
        return {"vocabulary": vocabulary_hash(encoder)}

    def data_files(self) -> list[Path]:
        """Return the files that are read, those of a tokenizer's folder among them."""
        folder = Path(self.tokenizer).expanduser() if self.tokenizer else None
        return [*super().data_files(), *(files_in(folder) if folder else [])]

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Text of each token id."""
        return [str(self.encoder.tokenizer.decode([token])) for token in ids]

    def of_one_size(self, inputs: Any) -> Any:
        """Return a batch's tokens and mask, padded to `max_length`."""
        missing = self.max_length - inputs["mask"].shape[1]
        values = {"input_ids": self.encoder.pad_id, "mask": False}
        return {name: pad(x, (0, missing), value=values[name]) for name, x in inputs.items()}

    def _build(self, part: Part, texts: list[str], encoder: Encoder) -> TokenBatches:
        if self.packing and self._is_plain:
            texts = ["\n".join(texts)]
        encoded = encoder.encode(texts)
        if self.needs_labels:
            rows = [ids[: self.max_length] or [encoder.empty_id] for ids in encoded]
            return TokenBatches(rows, torch.from_numpy(part.labels), pad_id=encoder.pad_id)
        if self.packing:
            return TokenBatches(self._blocks(encoded, encoder), None, pad_id=encoder.pad_id)
        start = [encoder.bos_id] if encoder.bos_id is not None else []
        end = [encoder.eos_id] if encoder.eos_id is not None else []
        rows = []
        for ids in encoded:
            # A pretrained tokenizer may have added its special tokens already.
            inner = ids if encoder.trained or ids[:1] != start else ids[1:]
            row = [*start, *inner, *(end if inner[-1:] != end else [])]
            # n inputs need n + 1 tokens, and at least one input.
            row = row[: self.max_length + 1]
            rows.append(row if len(row) > 1 else [*(row or [encoder.empty_id]), encoder.empty_id])
        return TokenBatches(rows, None, pad_id=encoder.pad_id)

    def num_bytes(self, ids: Tensor) -> int:
        """Return how many bytes of UTF-8 some tokens are the text of, shape (tokens,)."""
        decode = self.encoder.tokenizer.decode
        return len(decode(ids.tolist(), skip_special_tokens=True).encode())

    @property
    def _is_plain(self) -> bool:
        """Whether the samples are lines of plain text."""
        if self.path is None:
            return False
        return files_of(Path(self.path).expanduser(), self.format, LeftOut())[0] == "text"

    def _blocks(self, encoded: Sequence[list[int]], encoder: Encoder) -> list[list[int]]:
        """Cut documents into blocks whose last token is the next one's first."""
        end = [] if encoder.eos_id is None or self._is_plain else [encoder.eos_id]
        stream = [token for ids in encoded for token in (*ids, *(end if ids[-1:] != end else []))]
        step = self.max_length
        blocks = [stream[i : i + step + 1] for i in range(0, max(1, len(stream) - 1), step)]
        if len(blocks[0]) < 2:
            raise DataError(t("data.too_little_text", where=self.where, tokens=len(stream)))
        return blocks

    def _limit(self, part: Part, limit: int | None) -> Part:
        if not self.packing or limit is None:
            return super()._limit(part, limit)
        return part.pick(np.arange(min(limit, len(part.labels))))

    def _divide(self, part: Part, fraction: float, name: str) -> tuple[Part, Part]:
        if not self.packing:
            return super()._divide(part, fraction, name)
        first = len(part.labels) - round(fraction * len(part.labels))
        rows = np.arange(len(part.labels))
        return part.pick(rows[:first]), part.pick(rows[first:], name)

    def _cache_folder(self) -> Path:
        if self.cache_dir is not None:
            return Path(self.cache_dir).expanduser()
        root = os.environ.get("XDG_CACHE_HOME")
        return (Path(root) if root else Path.home() / ".cache") / "spikeformer"


def _sentences(part: Part, column: str) -> list[str]:
    values = part.table.select_columns([column]).with_format("arrow")[:][column].to_pylist()
    strange = next((i for i, value in enumerate(values) if not isinstance(value, str)), None)
    if strange is not None:
        raise DataError(
            t("data.not_text", column=column, value=values[strange], row=strange, split=part.name)
        )
    return values
