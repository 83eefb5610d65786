"""`compiled` keeps a kernel on disk, and does without where nothing can be written."""

from __future__ import annotations

import pytest
from numba.core.caching import CodeLibraryCacheImpl, CompileResultCacheImpl
from numba.extending import intrinsic, register_jitable

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


def times(factor):
    """A kernel that holds an intrinsic, made anew as every process does."""

    @intrinsic
    def product(context, x):
        def generate(context, builder, signature, values):
            return builder.fmul(values[0], values[0].type(factor))

        return x(x), generate

    @register_jitable
    def multiplied(x):
        return product(x)

    return compiled()(lambda x: multiplied(x))


def test_the_next_process_finds_a_kernel_with_an_intrinsic():
    for factor in (2.0, 3.0):
        assert times(factor)(5.0) == 5.0 * factor
    for factor in (2.0, 3.0):
        again = times(factor)
        assert again(5.0) == 5.0 * factor
        assert list(again.stats.cache_hits.values()) == [1]


def test_what_is_known_by_its_address_only_is_not_kept():
    thing = object()
    with pytest.raises(TypeError, match="closure holds <object"):
        compiled()(lambda x: x + bool(thing))


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
