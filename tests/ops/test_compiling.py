"""`compiled` keeps a kernel on disk, and does without where nothing can be written."""

from __future__ import annotations

import pytest
from numba.core.caching import CodeLibraryCacheImpl, CompileResultCacheImpl

from spikeformer.ops import compiling
from spikeformer.ops.compiling import compiled


def add(x, y):
    return x + y


def test_compiled_keeps_a_kernel():
    kernel = compiled(error_model="numpy")(add)
    assert kernel(2, 3) == 5
    assert kernel.targetoptions["nogil"]
    assert kernel.stats.cache_path is not None


def test_a_kernel_is_compiled_anew_when_another_module_changes(monkeypatch):
    """Numba alone follows the file of the function only, not those of what it calls."""

    def hits():
        kernel = compiled()(add)
        kernel(2, 3)
        return kernel.stats.cache_hits

    hits()
    assert [list(hits().values()), list(hits().values())] == [[1], [1]]
    monkeypatch.setattr(compiling, "sources", lambda folder: (1, 2))
    assert list(hits().values()) == []
    assert list(hits().values()) == [1]


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
