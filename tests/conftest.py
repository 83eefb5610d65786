"""What every test shares."""

from __future__ import annotations

import gc
import hashlib
import os
import sys
from collections import Counter
from functools import partial
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import hypothesis
import pytest
import torch

from tests.commands import REPOSITORY
from tests.composition import compose_from_known_parts
from tests.forking import start_server

# All processes share compiled kernels, those that tests start too, and keep them between runs by
# the sources they were compiled from: Numba, which reads this when it is imported, sees a change of
# the file that holds a kernel, but not of the helpers that the kernel inlines.
_digest = hashlib.sha256()
for _source in sorted((REPOSITORY / "spikeformer" / "ops").rglob("*.py")):
    _digest.update(_source.read_bytes())
_kernels = REPOSITORY / ".pytest_cache" / "d" / f"kernels-{_digest.hexdigest()[:12]}"
os.environ.setdefault("NUMBA_CACHE_DIR", str(_kernels))

# Without a GPU, Triton's kernels run in its interpreter; it reads this when it is imported.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

# Inductor's pool of processes, each of which imports torch, takes longer than its few compilations.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

# What surrounds our operators in a compiled network need not be vectorised, which takes Inductor a
# third more: it compiles a program for every kind of vectors first.
os.environ.setdefault("TORCHINDUCTOR_VEC_ISA_OK", "0")

# The messages that tests expect are English, whatever the developer reads.
os.environ.pop("SPIKEFORMER_LOCALE", None)

# A first call may compile a kernel, so no example has a deadline; failures repeat on any machine.
hypothesis.settings.register_profile(
    "spikeformer", deadline=None, derandomize=True, max_examples=25
)
hypothesis.settings.load_profile("spikeformer")

# The tests' tensors are small: a second thread gains nothing, and where processes share the cores
# (`pytest -n`) threads that wait for each other make a test ten times slower.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """Start every test from the same random stream."""
    torch.manual_seed(0)


@pytest.fixture
def own_technologies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the technologies that a test registers, by a deployer's class for one, end with it."""
    from spikeformer.profiling import TECHNOLOGIES

    monkeypatch.setattr(TECHNOLOGIES, "_found", dict(TECHNOLOGIES))


@pytest.fixture
def no_figure_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write reports without their figures as files of their own, which are half of the work."""
    from spikeformer.pipeline.stages import report

    monkeypatch.setattr(report, "build_report", partial(report.build_report, save_figures=False))


def pytest_configure() -> None:
    """Compose configurations of the same files quickly; import without looking for garbage."""
    gc.disable()
    compose_from_known_parts()
    # Each first run of Weights & Biases imports this, for several seconds, to find nothing to do.
    launch: Any = ModuleType("wandb.sdk.launch.inputs.internal")
    launch.StagedLaunchInputs = Mock
    sys.modules[launch.__name__] = launch


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that train or start processes, then those of most tests.

    Where processes share out the files (`pytest -n`), none then waits long for the last one.
    """
    tests = Counter(item.path for item in items)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, -tests[item.path], item.path))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Leave what was imported and collected out of every later search for garbage; start a server.

    Forks it before the first test, for the tests that need processes.
    """
    gc.freeze()
    gc.set_threshold(50_000)
    gc.enable()
    if not session.config.option.collectonly:
        start_server()
