from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from tests.commands import REPOSITORY

PACKAGES = sorted(
    ".".join(path.parent.relative_to(REPOSITORY).parts)
    for path in (REPOSITORY / "spikeformer").rglob("__init__.py")
    if "lazily(__name__)" in path.read_text(encoding="utf-8")
)


def after(code):
    """Return what a new process prints after some code."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_is_found_and_hides_no_module(name):
    package = import_module(name)
    for each in package.__all__:
        assert getattr(package, each) is vars(package)[each]
        assert not isinstance(vars(package)[each], type(sys))
    assert set(package.__all__) <= set(dir(package))


@pytest.mark.parametrize("name", PACKAGES)
def test_no_other_name_is_found(name):
    with pytest.raises(AttributeError, match=f"'{name}' has no attribute 'nothing'"):
        import_module(name).nothing  # noqa: B018


def test_a_name_brings_its_own_module_alone():
    code = "import sys; from spikeformer.data import Preparation; print(*sys.modules)"
    modules = set(after(code))
    assert "spikeformer.data.preparation" in modules
    assert not {"torch", "spikeformer.data.datamodule"} & modules


def test_a_training_begins_with_all_checks_and_without_pandas():
    code = "import sys; from spikeformer.validation import CHECKS; print(len(CHECKS)); "
    code += "from spikeformer.pipeline import run_pipeline; print(*sys.modules)"
    checks, *modules = after(code)
    assert int(checks) > 0  # before any that others register
    assert "pandas" not in modules


def test_the_collector_of_garbage_is_as_before():
    code = "import gc; from spikeformer.data import Preparation; print(gc.isenabled())"
    assert after(code) == ["True"]
