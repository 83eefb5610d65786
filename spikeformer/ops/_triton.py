"""What every Triton kernel shares: its autotuning, and the interpreter that stands in for a GPU.

With `TRITON_INTERPRET=1` in the environment before Triton is imported, kernels run on CPU tensors
in NumPy: slow, and enough to test what they compute.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import triton
from triton import knobs

INTERPRETED: bool = knobs.runtime.interpret


def autotune(
    configs: Sequence[triton.Config], key: Sequence[str], **options: Any
) -> Callable[..., Any]:
    """`triton.autotune`, with the first configuration alone where there is no GPU to time it on."""
    chosen = list(configs)[:1] if INTERPRETED else list(configs)
    decorate: Callable[..., Any] = triton.autotune(chosen, key=list(key), **options)
    return decorate
