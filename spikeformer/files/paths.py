"""Names that come from files or from a command line, and must not lead elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

from spikeformer.error_handling import SpikeformerError
from spikeformer.i18n import t


class UnsafePathError(SpikeformerError, ValueError):
    """A name leads out of the folder that it should lie in."""


def inside(folder: str | Path, name: str | Path) -> Path:
    """Return the path of what a file names in a folder, with symbolic links followed.

    Use it for every path that is read from a file: a manifest, an index, a graph.

    Args:
        folder: The folder that the file is about.
        name: A relative path, or an absolute one in that folder.

    Raises:
        UnsafePathError: The path is the folder itself, lies elsewhere (by `..`, a root or a
            symbolic link), or no file can have it.

    Example:
        >>> inside("/runs/1", "checkpoints/last.ckpt").as_posix()
        '/runs/1/checkpoints/last.ckpt'
        >>> inside("/runs/1", "../2/last.ckpt")
        Traceback (most recent call last):
        ...
        spikeformer.files.paths.UnsafePathError: '../2/last.ckpt' leads out of /runs/1.
    """
    try:
        os.fspath(name).encode()
        root = Path(folder).resolve()
        path = (root / name).resolve()
        # Python 3.13 leaves links in a circle as they are, where others raise an error.
        if any(part.is_symlink() for part in (path, *path.parents)):
            raise RuntimeError
    except (OSError, RuntimeError, TypeError, ValueError):  # NUL, surrogates, links in a circle
        path = root = Path(folder)
    if path == root or not path.is_relative_to(root):
        raise UnsafePathError(t("files.leads_out", name=repr(str(name)), folder=folder))
    return path


def one_name(name: str) -> str:
    """Return a name if it can be that of one file or folder and stays where it is put.

    Raises:
        UnsafePathError: It is empty, `.` or `..`, too long, or holds a separator, a control
            character or something that is no text.
    """
    bad = name.strip() in ("", ".", "..") or any(c in "/\\" or not c.isprintable() for c in name)
    if bad or len(name.encode(errors="replace")) > 200:
        raise UnsafePathError(t("files.no_name", name=repr(name)))
    return name
