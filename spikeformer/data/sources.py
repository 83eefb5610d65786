"""Tables of samples from the hub, from parquet, CSV or JSON files, or from a folder of images."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from spikeformer.error_handling import (
    ArgumentError,
    DataError,
    MissingDependencyError,
    check_choice,
)
from spikeformer.i18n import t

# In the order of preference: parquet may come with JSON notes, images with a CSV of metadata.
SUFFIXES = {
    "parquet": (".parquet",),
    "image_folder": (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"),
    "csv": (".csv", ".tsv"),
    "json": (".json", ".jsonl"),
}
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
PROBE_SECONDS = 10.0

# split name -> datasets.Dataset, which has no types to offer
Tables = dict[str, Any]


def load_tables(
    source: str | None,
    path: str | None,
    *,
    subset: str | None = None,
    format: str = "auto",  # noqa: A002, the key's name in the configuration
    cache_dir: str | None = None,
) -> Tables:
    """Return the splits found at `path`, or of the hub set `source` if `path` is None.

    Raises:
        ArgumentError: Neither `source` nor `path` is given, or `format` is unknown.
        DataError: The path is absent, empty or unreadable; the hub set cannot be reached or read.
        MissingDependencyError: The package `datasets` is not installed.
    """
    check_choice("format", format, ("auto", *SUFFIXES))
    if path is not None:
        return _from_path(Path(path).expanduser(), format, cache_dir)
    if source is None:
        raise ArgumentError("source", source, "the name of a hub set, unless data.path is given")
    return _from_hub(source, subset, cache_dir)


def roots_of(path: str | None, cache_dir: str | None) -> tuple[Path, ...]:
    """Return the folders in which files must lie that a table names.

    Args:
        path: Where the tables were read; None is the hub.
        cache_dir: Folder of the prepared copies.
    """
    hub = optional_import("huggingface_hub.constants", t("data.for_hub"))
    downloads = Path(hub.HF_HUB_CACHE)  # whose snapshots are folders of links into it
    if path is not None:
        place = Path(path).expanduser()
        return (place if place.is_dir() else place.parent), downloads
    config = optional_import("datasets.config", t("data.for_hub"))
    places = (cache_dir, config.HF_DATASETS_CACHE, config.DOWNLOADED_DATASETS_PATH)
    return *(Path(place).expanduser() for place in places if place), downloads


def _from_path(path: Path, format: str, cache_dir: str | None) -> Tables:  # noqa: A002
    if not path.exists():
        raise DataError(t("data.no_such_path", path=str(path), folder=Path.cwd()))
    files = sorted(f for f in (path.rglob("*") if path.is_dir() else [path]) if f.is_file())
    for kind in SUFFIXES if format == "auto" else (format,):
        found = [file for file in files if file.suffix.lower() in SUFFIXES[kind]]
        if found:
            return _read(kind, path, found, cache_dir)
    wanted = t("data.readable_data") if format == "auto" else t("data.files_of", format=format)
    suffixes = [s for kind, some in SUFFIXES.items() if format in ("auto", kind) for s in some]
    raise DataError(t("data.no_files", path=str(path), wanted=wanted, suffixes=", ".join(suffixes)))


def _read(kind: str, path: Path, files: list[Path], cache_dir: str | None) -> Tables:
    datasets = optional_import("datasets", t("data.for_reading"))
    if kind == "parquet":
        _check_parquet(files)
    options: dict[str, Any] = {"data_files": _by_split(path, files)}
    if kind == "image_folder":
        options = {"data_dir": str(path)}
    elif files[0].suffix.lower() == ".tsv":
        options["sep"] = "\t"
    try:
        builder = kind.replace("_", "")
        return dict(datasets.load_dataset(builder, cache_dir=cache_dir, **options))
    except ImportError:
        raise
    except Exception as error:  # whatever the readers stumble over in a damaged file
        raise DataError(
            t("data.unreadable_path", path=str(path), kind=kind, reason=_reason(error))
        ) from error


def _check_parquet(files: list[Path]) -> None:
    parquet = optional_import("pyarrow.parquet", t("data.for_parquet"))
    arrow = optional_import("pyarrow", t("data.for_parquet"))
    for file in files:
        try:
            parquet.ParquetFile(file).close()
        except (arrow.ArrowException, OSError) as error:
            raise DataError(
                t("data.broken_parquet", file=str(file), reason=_reason(error))
            ) from error


def _by_split(path: Path, files: list[Path]) -> dict[str, list[str]]:
    """Group files by the split their name or folder tells; all are training data if none tells."""
    groups: dict[str, list[str]] = {}
    for file in files:
        inside = file.relative_to(path) if path.is_dir() else Path(file.name)
        words = re.split(r"[^a-z]+", inside.as_posix().lower())
        told = [SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS]
        groups.setdefault(told[-1] if told else "", []).append(str(file))
    unnamed = groups.pop("", [])
    return groups if "train" in groups else {"train": unnamed, **groups} if unnamed else groups


def _from_hub(source: str, subset: str | None, cache_dir: str | None) -> Tables:
    hub = optional_import("huggingface_hub", t("data.for_hub"))
    datasets = optional_import("datasets", t("data.for_hub"))
    try:
        # One short question first: without a network, `load_dataset` itself retries for long.
        hub.HfApi().dataset_info(source, timeout=PROBE_SECONDS)
    except (hub.errors.RepositoryNotFoundError, hub.errors.HFValidationError) as error:
        raise DataError(t("data.no_such_source", source=source)) from error
    except network_errors() as error:
        return _from_cache(source, subset, cache_dir, error)
    try:
        return dict(datasets.load_dataset(source, subset, cache_dir=cache_dir))
    except (
        datasets.exceptions.DatasetsError,
        ValueError,
        RuntimeError,
        *network_errors(),
    ) as error:
        raise DataError(
            t("data.unloadable_source", source=source, reason=_reason(error))
        ) from error


def _from_cache(
    source: str, subset: str | None, cache_dir: str | None, cause: BaseException
) -> Tables:
    """The copy that an earlier run with a network left in the cache of `datasets`."""
    cached = optional_import("datasets.packaged_modules.cache.cache", t("data.for_cache"))
    try:
        builder = cached.Cache(
            cache_dir=cache_dir,
            dataset_name=source.split("/")[-1],
            repo_id=source,
            config_name=subset,
            version="auto",
            hash="auto",
        )
        builder.download_and_prepare()
        return dict(builder.as_dataset())
    except (ValueError, OSError):
        raise unreachable("data.source", source, cause) from cause


def unreachable(
    key: str, name: str, cause: BaseException, remedy: str = "data.path=/folder/with/parquet"
) -> DataError:
    """The error for something on the hub that no network leads to."""
    return DataError(
        t("data.unreachable", key=key, name=name, reason=_reason(cause), remedy=remedy)
    )


def network_errors() -> tuple[type[BaseException], ...]:
    """The exceptions that a missing or failing network shows itself in.

    The hub's client has moved from requests (whose errors are OSErrors) to httpx and on to httpx2;
    whichever it uses is imported by the time this is asked.
    """
    clients = [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]
    return (OSError, *(client.HTTPError for client in clients))


def _reason(error: BaseException) -> str:
    """The innermost cause in one line: the outer ones only say that something failed."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def optional_import(module: str, purpose: str, *, package: str | None = None) -> ModuleType:
    """Return the imported `module`.

    Args:
        module: Dotted name, as in `kornia.augmentation`.
        purpose: What needs it, as in "image augmentation".
        package: Name of the distribution, where it is not the first part of `module`.

    Raises:
        MissingDependencyError: It is not installed; the message holds the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        name = package or module.partition(".")[0]
        raise MissingDependencyError(t("data.needs_package", name=name, purpose=purpose)) from error
