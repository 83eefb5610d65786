"""Compiled kernels are cached between runs, by the sources they were compiled from.

Numba sees a change of the file that holds a kernel, but not of the helpers the kernel inlines.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numba

import spikeformer.ops


def pytest_configure(config):
    if not hasattr(config, "cache"):  # pytest -p no:cacheprovider
        return
    digest = hashlib.sha256()
    for source in sorted(Path(spikeformer.ops.__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    directory = config.cache.mkdir(f"kernels-{digest.hexdigest()[:12]}")
    numba.config.CACHE_DIR = str(directory)
