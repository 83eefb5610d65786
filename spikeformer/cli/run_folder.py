"""The folder of a run: made for it, and taken back if the run cannot begin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import InterpolationResolutionError

from spikeformer.files import Created, one_name, recording, unwritable
from spikeformer.i18n import t

_made = Created()
"""What this process made for runs; Hydra makes folders and logs at several places."""

_BY_HYDRA = ("run.log", ".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml")


def new_folder(parent: str, *names: str) -> str:
    """Make a folder that nobody else has and return its path.

    Two runs may start in the same second: the later one gets `-1`, `-2`, ... appended.

    Args:
        parent: Where to; any path.
        *names: Folders below it, the last one that of the run.

    Raises:
        UnsafePathError: A name is none, or leads elsewhere.
        StorageError: It cannot be made there.
    """
    wanted = Path(parent, *(one_name(str(name)) for name in names))
    for attempt in range(1000):
        candidate = wanted if attempt == 0 else wanted.with_name(f"{wanted.name}-{attempt}")
        note(candidate)
        try:
            candidate.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise unwritable(candidate, error) from error
        return str(candidate)
    raise FileExistsError(t("cli.folders_exist", folder=wanted))


def child_folder(sweep: str, number: int) -> str:
    """Return the name of a child's folder in a sweep's, before Hydra makes it."""
    note(Path(sweep, str(number)))
    return str(number)


def note(folder: Path) -> None:
    """Note what of a run folder, and of what Hydra writes there, does not exist yet."""
    _made.note_folder(folder)
    _made.note_folder(folder / ".hydra")
    for name in _BY_HYDRA:
        _made.note_absent(folder / name)


@contextmanager
def recorded(folder: Path) -> Iterator[None]:
    """Record what is made in a run folder, and what Hydra has made there already."""
    for name in _BY_HYDRA:
        _made.note_made(folder / name)
    with recording(_made):
        yield


def take_back(folder: Path) -> None:
    """Remove what this process made in a run folder, file by file, and the folders left empty."""
    _made.remove(folder)


class NoteRunFolder(Callback):
    """Looks at a run folder that the command line names before Hydra makes it."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Note what is not there yet."""
        try:
            note(Path(config.hydra.run.dir))
        except InterpolationResolutionError:
            return  # Hydra meets it again, and there it is no mere warning
