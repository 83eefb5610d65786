"""Tokenizers: a pretrained one, or one trained on the training split and cached."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from spikeformer.data.sources import network_errors, optional_import, unreachable
from spikeformer.error_handling import DataError
from spikeformer.files import value_hash, write_text
from spikeformer.i18n import t

SPECIAL_TOKENS = ("<pad>", "<unk>", "<bos>", "<eos>")


class Encoder(NamedTuple):
    """What text needs of a tokenizer.

    Attributes:
        tokenizer: The `tokenizers.Tokenizer` or `transformers` tokenizer itself.
        size: Number of token ids.
        pad_id: Id written at padded positions.
        empty_id: Id that stands for a sentence without tokens.
        bos_id: Id before a text in language modelling; None if the tokenizer has none.
        eos_id: Id after it; likewise.
        trained: Whether it was trained here.
    """

    tokenizer: Any
    size: int
    pad_id: int
    empty_id: int
    bos_id: int | None
    eos_id: int | None
    trained: bool

    def encode(self, sentences: Sequence[str]) -> list[list[int]]:
        """Token ids of each sentence (a pretrained tokenizer adds its own special tokens)."""
        if not sentences:
            return []
        if self.trained:
            return [encoding.ids for encoding in self.tokenizer.encode_batch(list(sentences))]
        # Its own warning about long texts is beside the point: the data module cuts them.
        ids: list[list[int]] = self.tokenizer(list(sentences), verbose=False)["input_ids"]
        return ids


def trained_encoder(
    sentences: Sequence[str], kind: str, vocab_size: int, cache_dir: Path
) -> Encoder:
    """Train a tokenizer on `sentences`, or take the one trained on them before.

    Args:
        sentences: The training split.
        kind: "bpe" (byte-level byte-pair encoding) or "word" (the most frequent words).
        vocab_size: Number of token ids wanted; fewer come of a small text.
        cache_dir: Folder of trained tokenizers; processes may share it.
    """
    library = optional_import("tokenizers", t("data.for_tokenizer_training"))
    identity = hashlib.sha256()
    for part in (library.__version__, kind, str(vocab_size), *sentences):
        identity.update(part.encode() + b"\0")
    file = cache_dir / "tokenizers" / f"{kind}-{vocab_size}-{identity.hexdigest()[:16]}.json"
    tokenizer = None
    if file.is_file():
        try:
            tokenizer = library.Tokenizer.from_file(str(file))
        # The library raises plain `Exception` for a damaged file; training again mends it.
        except Exception:
            tokenizer = None
    if tokenizer is None:
        tokenizer = _train(library, sentences, kind, vocab_size)
        # Two processes may train the same tokenizer at once.
        write_text(file, tokenizer.to_str())
    return _trained(tokenizer)


def encoder_from(content: str) -> Encoder:
    """Return a tokenizer that was trained before.

    Args:
        content: Its JSON, as a `Preparation` keeps it.

    Raises:
        DataError: It is no tokenizer of ours.
    """
    library = optional_import("tokenizers", t("data.for_tokenizer_training"))
    try:
        return _trained(library.Tokenizer.from_str(content))
    except Exception as error:  # the library's own, of any kind
        raise DataError(t("data.no_preparation", reason=error)) from error


def vocabulary_hash(encoder: Encoder) -> str:
    """Return the SHA-256 of a tokenizer's tokens and ids."""
    return value_hash(dict(encoder.tokenizer.get_vocab()))


def _trained(tokenizer: Any) -> Encoder:
    pad, unknown, bos, eos = (tokenizer.token_to_id(token) for token in SPECIAL_TOKENS)
    return Encoder(tokenizer, tokenizer.get_vocab_size(), pad, unknown, bos, eos, trained=True)


def pretrained_encoder(name: str) -> Encoder:
    """Load `transformers.AutoTokenizer` from a local folder, a GGUF file, the cache or the hub."""
    hub = optional_import("huggingface_hub", t("data.for_tokenizer"))
    transformers = optional_import("transformers", t("data.for_tokenizer"))
    auto = transformers.AutoTokenizer
    place, options = gguf_file(name)
    try:
        try:
            tokenizer = auto.from_pretrained(
                place, local_files_only=True, trust_remote_code=False, **options
            )
        except (OSError, ValueError):
            if Path(place).expanduser().is_dir():
                raise
            # One short question before the long retries of a machine that is offline.
            hub.HfApi().model_info(name, timeout=10.0)
            tokenizer = auto.from_pretrained(name, trust_remote_code=False)
    except (hub.errors.RepositoryNotFoundError, hub.errors.HFValidationError) as error:
        raise DataError(t("data.no_such_tokenizer", name=name)) from error
    except ValueError as error:
        raise _unreadable(name, error) from error
    except network_errors() as error:
        if Path(name).expanduser().is_dir():
            raise _unreadable(name, error) from error
        remedy = t("data.tokenizer_remedy")
        raise unreachable("data.tokenizer", name, error, remedy) from error
    if options:
        tokenizer.name_or_path = name  # that of the file, which has its vocabulary
    end = tokenizer.eos_token_id
    pad = next((i for i in (tokenizer.pad_token_id, end) if i is not None), 0)
    empty = next((i for i in (tokenizer.unk_token_id, end) if i is not None), pad)
    return Encoder(
        tokenizer, len(tokenizer), pad, empty, tokenizer.bos_token_id, end, trained=False
    )


def gguf_file(name: str) -> tuple[str, dict[str, str]]:
    """Return the folder and the keyword that `transformers` wants for a GGUF file's path.

    Example:
        >>> gguf_file("models/tiny.gguf"), gguf_file("owner/model")
        (('models', {'gguf_file': 'tiny.gguf'}), ('owner/model', {}))
    """
    path = Path(name).expanduser()
    if path.suffix.lower() != ".gguf":
        return name, {}
    return str(path.parent), {"gguf_file": path.name}


def _unreadable(name: str, error: BaseException) -> DataError:
    return DataError(t("data.unreadable_tokenizer", name=name, reason=str(error).splitlines()[0]))


def _train(library: Any, sentences: Sequence[str], kind: str, vocab_size: int) -> Any:
    options = {
        "vocab_size": vocab_size,
        "special_tokens": list(SPECIAL_TOKENS),
        "show_progress": False,
    }
    # Both give the same vocabulary in every process. The library's WordPiece trainer does not (it
    # numbers the letters in the order of a hash table), so it is not offered.
    if kind == "bpe":
        tokenizer = library.Tokenizer(library.models.BPE())
        tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = library.decoders.ByteLevel()
        alphabet = library.pre_tokenizers.ByteLevel.alphabet()
        trainer = library.trainers.BpeTrainer(initial_alphabet=sorted(alphabet), **options)
    else:
        tokenizer = library.Tokenizer(library.models.WordLevel(unk_token="<unk>"))
        tokenizer.normalizer = library.normalizers.BertNormalizer()
        tokenizer.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
        trainer = library.trainers.WordLevelTrainer(**options)
    tokenizer.train_from_iterator(sentences, trainer)
    return tokenizer
