from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import spikeformer
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


def test_the_package_s_own_checks_are_registered_before_others():
    code = "from spikeformer.validation import CHECKS; print(len(CHECKS))"
    assert int(after(code)[0]) > 0


def test_the_collector_of_garbage_is_as_before():
    assert spikeformer.SpikingNetwork is import_module("spikeformer.models").SpikingNetwork
    code = "import gc; from spikeformer.data import Preparation; print(gc.isenabled())"
    assert after(code) == ["True"]
