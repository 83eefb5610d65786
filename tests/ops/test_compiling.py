"""`compiled` keeps a kernel on disk, and does without where nothing can be written."""

from __future__ import annotations

import pytest
from numba.core.caching import CodeLibraryCacheImpl, CompileResultCacheImpl

from spikeformer.ops.compiling import compiled


def add(x, y):
    return x + y


def test_compiled_keeps_a_kernel():
    kernel = compiled(error_model="numpy")(add)
    assert kernel(2, 3) == 5
    assert kernel.targetoptions["nogil"]
    assert kernel.stats.cache_path is not None


def test_compiled_does_without_a_place_to_keep_it(monkeypatch):
    for kind in (CompileResultCacheImpl, CodeLibraryCacheImpl):
        monkeypatch.setattr(kind, "_locator_classes", [])
    kernel = compiled()(add)
    assert kernel(2, 3) == 5
    assert kernel.targetoptions["nogil"]
    assert kernel.stats.cache_path is None


def test_compiled_hides_no_other_error():
    with pytest.raises(TypeError):
        compiled()(3)
