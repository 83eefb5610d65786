"""Runs Numba kernels on the OpenMP threads of torch.

Torch's operators leave their threads spinning for a while, waiting for the next one. Threads of our
own would share the cores with them, and Python threads would besides wake each other for the GIL:
kernels of a millisecond gained nothing from either. So a compiled loop hands the kernel to
`GOMP_parallel` of the library that torch itself is linked to, and no thread but the caller's ever
meets Python.

Numba's own OpenMP layer (`parallel=True`) is no substitute. It links the system's libgomp beside
torch's, so that two teams of threads spin for the same cores, and it kills a forked process, such
as a worker of a DataLoader, at its first kernel.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import typeof, types
from numba.core import cgutils
from numba.extending import intrinsic

from spikeformer.ops.compiling import compiled

_INT = ir.IntType(64)
_POINTER = ir.IntType(8).as_pointer()

# OpenMP's threads do not survive a fork, and its library does not notice.
_process = os.getpid()

# Addresses of kernels by what their arguments look like, and by the types that Numba gives them.
_addresses: dict[tuple[Any, ...], int] = {}
_compiled: dict[tuple[Any, ...], int] = {}


@lru_cache(maxsize=1)
def _openmp_address() -> int:
    """Address of `GOMP_parallel(function, argument, num_threads, flags)`, or 0.

    It is what GCC compiles parallel regions to; LLVM's and Intel's libraries have it too.
    """
    if not sys.platform.startswith("linux"):
        return 0
    try:
        # Torch's library hands out the symbols of the one that it is linked to.
        library = ctypes.CDLL(str(Path(torch.__file__).with_name("lib") / "libtorch_cpu.so"))
        return ctypes.cast(library.GOMP_parallel, ctypes.c_void_p).value or 0
    except (OSError, AttributeError):
        return 0


def available() -> bool:
    """Whether this process can run kernels on torch's threads."""
    return _openmp_address() != 0 and os.getpid() == _process


def run_chunks(
    address: int, arguments: tuple[Any, ...], num_tasks: int, num_chunks: int, threads: int
) -> None:
    """Call the kernel at `address` as `kernel(first, last, *arguments)` for all of its chunks.

    Raises:
        MemoryError: If a kernel ran out of memory.
    """
    failed = _launch(_openmp_address(), address, threads, num_chunks, num_tasks, arguments)
    if failed:
        raise MemoryError("a kernel found no memory for its scratch buffer")


def kernel_address(kernel: Any, arguments: tuple[Any, ...]) -> int:
    """Address of the machine code for arguments of these types, compiled if need be.

    Has to be asked for before the kernel is called in any other way. Numba finds machine code by a
    name that kernels from the same factory can share, and only the one loaded last is found.

    Raises:
        RuntimeError: If the kernel was called before.
    """
    key = (kernel, _kind(arguments))
    if key not in _addresses:
        signature = (types.int64, types.int64, *typeof(arguments).types)
        # Several kinds of arguments can have the same types.
        _addresses[key] = _compiled.get((kernel, signature)) or _compile(kernel, signature)
    return _addresses[key]


def _compile(kernel: Any, signature: tuple[Any, ...]) -> int:
    if signature in kernel.overloads:
        raise RuntimeError(f"{kernel} was called before its address was asked for")
    kernel.compile(signature)
    code = kernel.overloads[signature]
    address: int = code.library.get_pointer_to_function(code.fndesc.llvm_func_name)
    _compiled[kernel, signature] = address
    return address


def _kind(value: Any) -> Any:
    """What decides the type that Numba gives a value; much faster than asking Numba."""
    if isinstance(value, tuple):
        return tuple(map(_kind, value))
    if isinstance(value, np.ndarray):
        return value.dtype, value.ndim, value.flags.num
    return type(value)


@intrinsic
def _parallel(
    context: Any,
    openmp: Any,
    kernel: Any,
    threads: Any,
    num_chunks: Any,
    num_tasks: Any,
    arguments: Any,
) -> tuple[Any, Callable[..., Any]]:
    """Let every thread take chunks until there are none; return how many of them failed."""
    kernel_types = (types.int64, types.int64, *arguments.types)
    signature = types.int64(openmp, kernel, threads, num_chunks, num_tasks, arguments)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        openmp, kernel, threads, num_chunks, num_tasks, arguments = values
        # What the threads share lies on the stack of the caller, who waits for them.
        layout = ir.LiteralStructType([_INT, _INT, _INT, _INT, _INT, arguments.type])
        shared = cgutils.alloca_once(builder, layout)
        fields = (_INT(0), _INT(0), num_chunks, num_tasks, kernel, arguments)
        for index, value in enumerate(fields):
            builder.store(value, cgutils.gep_inbounds(builder, shared, 0, index))
        member = _member(context, builder.module, layout, kernel_types)
        parallel_type = ir.FunctionType(
            ir.VoidType(), [member.type, _POINTER, ir.IntType(32), ir.IntType(32)]
        )
        parallel = builder.inttoptr(openmp, parallel_type.as_pointer())
        team = builder.trunc(threads, ir.IntType(32))
        argument = builder.bitcast(shared, _POINTER)
        builder.call(parallel, [member, argument, team, ir.IntType(32)(0)])
        return builder.load(cgutils.gep_inbounds(builder, shared, 0, 1))

    return signature, generate


def _member(context: Any, module: Any, layout: Any, kernel_types: tuple[Any, ...]) -> Any:
    """The function that each thread runs: `while (chunk = next++) < num_chunks: kernel(...)`."""
    function_type = ir.FunctionType(ir.VoidType(), [_POINTER])
    member = ir.Function(module, function_type, module.get_unique_name("team_member"))
    member.linkage = "internal"
    builder = ir.IRBuilder(member.append_basic_block("entry"))
    shared = builder.bitcast(member.args[0], layout.as_pointer())

    def field(index: int) -> Any:
        return cgutils.gep_inbounds(builder, shared, 0, index)

    num_chunks, num_tasks, address = (builder.load(field(index)) for index in (2, 3, 4))
    arguments = builder.load(field(5))
    test, body, done = (member.append_basic_block(name) for name in ("test", "body", "done"))
    builder.branch(test)
    builder.position_at_end(test)
    chunk = builder.atomic_rmw("add", field(0), _INT(1), "monotonic")
    builder.cbranch(builder.icmp_signed("<", chunk, num_chunks), body, done)
    builder.position_at_end(body)
    first, last = (
        builder.sdiv(builder.mul(num_tasks, count), num_chunks)
        for count in (chunk, builder.add(chunk, _INT(1)))
    )
    values = [first, last, *cgutils.unpack_tuple(builder, arguments)]
    failed = _call(context, builder, address, kernel_types, values)
    builder.atomic_rmw("add", field(1), failed, "monotonic")
    builder.branch(test)
    builder.position_at_end(done)
    builder.ret_void()
    return member


def _call(
    context: Any, builder: Any, address: Any, kernel_types: tuple[Any, ...], values: Any
) -> Any:
    """Call the kernel at an address; whether it failed, as an integer."""
    kernel_type = context.call_conv.get_function_type(types.none, kernel_types)
    kernel = builder.inttoptr(address, kernel_type.as_pointer())
    result, error = (
        cgutils.alloca_once(builder, pointer.pointee) for pointer in kernel_type.args[:2]
    )
    packer = context.get_arg_packer(kernel_types)
    status = builder.call(kernel, [result, error, *packer.as_arguments(builder, values)])
    return builder.zext(builder.icmp_signed(">", status, status.type(0)), _INT)


@intrinsic
def call_kernel(context: Any, address: Any, arguments: Any) -> tuple[Any, Callable[..., Any]]:
    """Call the kernel at an address from within another; returns 1 if it found no memory, else 0.

    Called by its name it would become part of the other's machine code, under a name that kernels
    from the same factory can share.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        unpacked = cgutils.unpack_tuple(builder, values[1])
        return _call(context, builder, values[0], tuple(arguments.types), unpacked)

    return types.int64(types.int64, arguments), generate


@compiled()
def _launch(
    openmp: int, kernel: int, threads: int, num_chunks: int, num_tasks: int, arguments: Any
) -> int:
    return _parallel(openmp, kernel, threads, num_chunks, num_tasks, arguments)
