"""Tables of samples from the hub, from parquet, CSV, JSON or text files, or a folder of images."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from spikeformer.data.columns import check_class_name
from spikeformer.data.delimited import read_csv
from spikeformer.data.layout import LeftOut, arrange_images, files_below, splits_of_tables
from spikeformer.error_handling import (
    ArgumentError,
    DataError,
    MissingDependencyError,
    SpikeformerError,
    check_choice,
)
from spikeformer.files import stamp, value_hash
from spikeformer.i18n import t

# In the order of preference: parquet may come with JSON notes, images with a CSV of metadata.
SUFFIXES = {
    "parquet": (".parquet",),
    "image_folder": (
        *(".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp"),
        *(".pgm", ".ppm", ".pnm", ".jp2"),
    ),
    "csv": (".csv", ".tsv"),
    "json": (".json", ".jsonl"),
    "text": (".txt",),
}
PROBE_SECONDS = 10.0

# split name -> datasets.Dataset, which has no types to offer
Tables = dict[str, Any]


@dataclass
class Source:
    """What was read.

    Attributes:
        tables: The splits.
        left_out: Files that were not read.
    """

    tables: Tables
    left_out: LeftOut = field(default_factory=LeftOut)


def load_tables(
    source: str | None,
    path: str | None,
    *,
    subset: str | None = None,
    format: str = "auto",  # noqa: A002, the key's name in the configuration
    cache_dir: str | None = None,
) -> Source:
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
    return Source(_from_hub(source, subset, cache_dir))


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
        return folder_of(place), downloads
    config = optional_import("datasets.config", t("data.for_hub"))
    places = (cache_dir, config.HF_DATASETS_CACHE, config.DOWNLOADED_DATASETS_PATH)
    return *(Path(place).expanduser() for place in places if place), downloads


def folder_of(path: Path) -> Path:
    """Return the folder that data lie in: the path itself, or that of a file."""
    return path if path.is_dir() else path.parent


def files_of(path: Path, format: str, left_out: LeftOut) -> tuple[str, list[Path]]:  # noqa: A002
    """Return the kind of the data at a path and its files, relative to `folder_of` it.

    Args:
        path: A folder or a file.
        format: One of `SUFFIXES`, or "auto".
        left_out: Notes the others.

    Raises:
        DataError: There are none.
    """
    if not path.exists():
        raise DataError(t("data.no_such_path", path=str(path), folder=Path.cwd()))
    files = files_below(path, left_out) if path.is_dir() else [Path(path.name)]
    for kind in SUFFIXES if format == "auto" else (format,):
        found = [file for file in files if file.suffix.lower() in SUFFIXES[kind]]
        chosen = set(found)
        for file in files if found else ():
            if file not in chosen:
                left_out.add("other_kind", str(file))
        if found:
            return kind, found
    wanted = t("data.readable_data") if format == "auto" else t("data.files_of", format=format)
    suffixes = [s for kind, some in SUFFIXES.items() if format in ("auto", kind) for s in some]
    raise DataError(t("data.no_files", path=str(path), wanted=wanted, suffixes=", ".join(suffixes)))


def _from_path(path: Path, format: str, cache_dir: str | None) -> Source:  # noqa: A002
    datasets = optional_import("datasets", t("data.for_reading"))
    left_out, folder = LeftOut(), folder_of(path)
    kind, files = files_of(path, format, left_out)
    if kind == "parquet":
        _check_parquet([folder / file for file in files])
    try:
        if kind == "image_folder":
            tables = _image_folder(path, files, left_out)
        else:
            splits = splits_of_tables(folder, files, left_out)
            places = {split: [folder / file for file in some] for split, some in splits.items()}
            if kind == "csv":
                tables = read_csv(places)
            elif kind == "text":
                tables = _lines(places)
            else:
                names = {split: [str(file) for file in some] for split, some in places.items()}
                # `datasets` tells files by path and time alone, and would return a copy of others.
                stamps = [stamp(file) for some in places.values() for file in some]
                tables = dict(
                    datasets.load_dataset(
                        kind,
                        name=f"files-{value_hash(stamps)[:16]}",
                        cache_dir=cache_dir,
                        data_files=names,
                    )
                )
    except (ImportError, SpikeformerError):
        raise
    except Exception as error:  # whatever the readers stumble over in a damaged file
        raise DataError(
            t("data.unreadable_path", path=str(path), kind=kind, reason=_reason(error))
        ) from error
    return Source(tables, left_out)


def _lines(places: dict[str, list[Path]]) -> Tables:
    """Return a table of the lines of plain text, UTF-8, for each split."""
    datasets = optional_import("datasets", t("data.for_reading"))
    return {
        split: datasets.Dataset.from_dict(
            {"text": [line for file in files for line in file.read_text("utf-8").split("\n")]}
        )
        for split, files in places.items()
    }


def _image_folder(path: Path, files: list[Path], left_out: LeftOut) -> Tables:
    """Return a table of the images' paths and classes for each split."""
    datasets = optional_import("datasets", t("data.for_reading"))
    arrow = optional_import("pyarrow", t("data.for_reading"))
    if not path.is_dir():
        raise DataError(t("data.no_folder", path=str(path)))
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    rows: dict[str, dict[str, list[Any]]] = {}
    for picture in arrange_images(repr(str(path)), files, left_out):
        check_class_name("label", picture.label)
        table = rows.setdefault(picture.split, {"image": [], "label": []})
        table["image"].append({"bytes": None, "path": str(picture.file)})
        table["label"].append(picture.label)
    return {
        split: datasets.Dataset(arrow.table(columns, schema=features.arrow_schema))
        for split, columns in rows.items()
    }


def _check_parquet(files: list[Path]) -> None:
    parquet = optional_import("pyarrow.parquet", t("data.for_parquet"))
    datasets = optional_import("datasets", t("data.for_reading"))
    first: dict[str, list[str]] = {}
    for file in files:
        try:
            with parquet.ParquetFile(file) as opened:
                features = datasets.Features.from_arrow_schema(opened.schema_arrow)
        except Exception as error:  # Arrow's, the system's, or of features that are none
            raise DataError(
                t("data.broken_parquet", file=str(file), reason=_reason(error))
            ) from error
        for column, feature in features.items():
            names = getattr(feature, "names", None)
            # `datasets` would give the numbers of one file the names of another.
            if names is not None and first.setdefault(column, names) != names:
                got, expected = ", ".join(names), ", ".join(first[column])
                raise DataError(t("data.other_classes", file=str(file), got=got, expected=expected))


def _from_hub(source: str, subset: str | None, cache_dir: str | None) -> Tables:
    hub = optional_import("huggingface_hub", t("data.for_hub"))
    datasets = optional_import("datasets", t("data.for_hub"))
    try:
        # One short question first: offline, `load_dataset` itself retries for long.
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
    """The copy that an earlier run, which was online, left in the cache of `datasets`."""
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
    """The error for something on the hub that cannot be reached."""
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


def optional_import(
    module: str, purpose: str, *, package: str | None = None, extra: str = "data"
) -> ModuleType:
    """Return the imported `module`.

    Args:
        module: Dotted name, as in `kornia.augmentation`.
        purpose: What needs it, as in "image augmentation".
        package: Name of the distribution, where it is not the first part of `module`.
        extra: The extra of SpikeFormer that brings it.

    Raises:
        MissingDependencyError: It is not installed; the message holds the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        name = package or module.partition(".")[0]
        raise MissingDependencyError(
            t("data.needs_package", name=name, purpose=purpose, extra=extra)
        ) from error
