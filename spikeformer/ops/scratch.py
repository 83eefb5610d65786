"""Scratch memory of a kernel.

An array of NumPy's inside a kernel is counted: each time it is sliced or handed to a function, an
atomic instruction changes a number, and threads that share an array wait for each other there. So
`compiled` leaves the counting out, and with it NumPy's arrays; a kernel asks for memory here, and
gives it back itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from spikeformer.ops.memory import CACHE_LINE

_INT, _POINTER = ir.IntType(64), ir.IntType(8).as_pointer()


@intrinsic
def allocate(context: Any, dtype: Any, count: Any) -> tuple[Any, Callable[..., Any]]:
    """A one-dimensional array of zeros, to be given to `release`.

    Raises:
        MemoryError: If there is none left.
    """
    array_type = types.Array(dtype.dtype, 1, "C")

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        itemsize = context.get_abi_sizeof(context.get_data_type(dtype.dtype))
        space = builder.mul(values[1], _INT(itemsize))
        calloc = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_POINTER, [_INT, _INT]), "calloc"
        )
        # Nothing else points there: loops over scratch memory and arguments need not check that.
        calloc.return_value.add_attribute("noalias")
        block = builder.call(calloc, [_INT(1), builder.add(space, _INT(2 * CACHE_LINE))])
        with cgutils.if_unlikely(builder, cgutils.is_null(builder, block)):
            message = ("a kernel found no memory for its scratch buffer",)
            context.call_conv.return_user_exc(builder, MemoryError, message)
        past = builder.and_(builder.ptrtoint(block, _INT), _INT(CACHE_LINE - 1))
        data = builder.gep(block, [builder.sub(_INT(2 * CACHE_LINE), past)])
        # Where the block begins is kept before the array.
        builder.store(block, _before(builder, data))
        array = context.make_array(array_type)(context, builder)
        context.populate_array(
            array,
            data=builder.bitcast(data, array.data.type),
            shape=cgutils.pack_array(builder, [values[1]]),
            strides=cgutils.pack_array(builder, [_INT(itemsize)]),
            itemsize=_INT(itemsize),
            meminfo=None,
        )
        return array._getvalue()

    return array_type(dtype, types.int64), generate


@intrinsic
def release(context: Any, array: Any) -> tuple[Any, Callable[..., Any]]:
    """Give back the memory of an array from `allocate`."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = context.make_array(array)(context, builder, values[0]).data
        free = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [_POINTER]), "free"
        )
        builder.call(free, [builder.load(_before(builder, builder.bitcast(data, _POINTER)))])
        return context.get_dummy_value()

    return types.none(array), generate


@intrinsic
def alone(context: Any, array: Any) -> tuple[Any, Callable[..., Any]]:
    """The same array, with the promise that what is written there is read under no other name.

    LLVM then need not prove it for a loop that writes several rows of one tensor, which it cannot.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        given = context.make_array(array)(context, builder, values[0])
        same = builder.module.globals.get("spikeformer_alone") or _define_alone(builder.module)
        pointer = builder.call(same, [builder.bitcast(given.data, _POINTER)])
        result = context.make_array(array)(context, builder)
        context.populate_array(
            result,
            data=builder.bitcast(pointer, given.data.type),
            shape=given.shape,
            strides=given.strides,
            itemsize=given.itemsize,
            meminfo=None,
        )
        return result._getvalue()

    return array(array), generate


def _define_alone(module: Any) -> Any:
    """Return its pointer; the promise holds as long as the call is not inlined."""
    same = ir.Function(module, ir.FunctionType(_POINTER, [_POINTER]), "spikeformer_alone")
    same.linkage = "internal"
    same.attributes.add("noinline")
    same.attributes.add("optnone")
    same.return_value.add_attribute("noalias")
    ir.IRBuilder(same.append_basic_block()).ret(same.args[0])
    return same


def _before(builder: Any, data: Any) -> Any:
    """Pointer to the pointer that lies before an array."""
    return builder.gep(builder.bitcast(data, _POINTER.as_pointer()), [_INT(-1)])
