"""What of a configuration to leave to the platform, and what it chooses."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spikeformer.cross_platform.types import GIB, PlatformCapability, PlatformInfo
from spikeformer.i18n import t

AUTO = "auto"
"""The value that leaves a key to the platform; None does so too."""
MAX_WORKERS = 8
"""More loading processes than this wait for the disk, or for each other, not for cores."""
_WORKERS = ("num_workers", "max_workers")


@dataclass(frozen=True)
class Choice:
    """One value that the platform chose.

    Attributes:
        key: Key of the configuration.
        value: What was chosen.
        reason: Why, for people.
        before: What stood there.
    """

    key: str
    value: Any
    reason: str
    before: Any = AUTO

    def __str__(self) -> str:
        return f"{self.key}={self.value}: {self.reason}"


def choose(config: Mapping[str, Any], info: PlatformInfo) -> list[Choice]:
    """Return what the platform chooses for the keys of a flat configuration.

    A key that says `AUTO` or None is chosen. Of explicit values only a number of workers above
    the cores is changed, since it can gain nothing; all others are the user's. Unknown keys are
    not looked at.

    Args:
        config: Known are `device`, `accelerator`, `precision`, `num_workers`, `max_workers`,
            `batch_size`, `pin_memory`, `backend` and `ops`.
        info: The platform.
    """
    device = config.get("device") or config.get("accelerator") or AUTO
    found = []
    for key, value in config.items():
        if key in _CHOOSERS and value in (AUTO, None):
            found.append(Choice(key, *_CHOOSERS[key](info, str(device)), before=value))
        elif key in _WORKERS and isinstance(value, int) and value > info.cores:
            reason = t("cross_platform.more_would_share", cores=_cores(info))
            found.append(Choice(key, info.cores, reason, before=value))
    return found


def device_of(info: PlatformInfo) -> tuple[str, str]:
    """Return "cuda", "mps" or "cpu", as torch names it, and why."""
    if not info.gpus:
        return "cpu", t("cross_platform.no_gpu")
    gpu = info.gpus[0]
    kind = "mps" if gpu.kind == "mps" else "cuda"
    return kind, t("cross_platform.gpu_with", name=gpu.name, memory=gpu.memory_bytes / GIB)


def _device(info: PlatformInfo, _: str) -> tuple[str, str]:
    return device_of(info)


def _accelerator(info: PlatformInfo, _: str) -> tuple[str, str]:
    device, reason = device_of(info)
    return ("gpu" if device == "cuda" else device), reason


def _precision(info: PlatformInfo, device: str) -> tuple[str, str]:
    if _on_cpu(info, device):
        return "32-true", t("cross_platform.float32_on_cpu")
    if PlatformCapability.BF16_GPU in info.capabilities:
        return "bf16-mixed", t("cross_platform.bfloat16", gpu=info.gpus[0].name)
    return "32-true", t("cross_platform.no_bfloat16")


def _num_workers(info: PlatformInfo, _: str) -> tuple[int, str]:
    reason = t("cross_platform.loaders", cores=info.cores, most=MAX_WORKERS)
    return loader_workers(info), reason


def loader_workers(info: PlatformInfo) -> int:
    """Return how many processes should decode data beside the one that trains."""
    return min(max(info.cores - 1, 1), MAX_WORKERS)


def _max_workers(info: PlatformInfo, device: str) -> tuple[int, str]:
    if _on_cpu(info, device):
        return info.cores, t("cross_platform.one_for_each", cores=_cores(info))
    return len(info.gpus), t("cross_platform.one_for_each_gpu", count=len(info.gpus))


def _batch_size(info: PlatformInfo, device: str) -> tuple[int, str]:
    memory = info.available_bytes
    if not _on_cpu(info, device):
        memory = info.gpus[0].free_bytes or info.gpus[0].memory_bytes
    power = 2 ** math.floor(math.log2(max(memory / GIB, 1)))
    size = min(max(16 * power, 16), 256)
    return size, t("cross_platform.samples_for_memory", memory=memory / GIB)


def _pin_memory(info: PlatformInfo, device: str) -> tuple[bool, str]:
    pins = not _on_cpu(info, device) and any(gpu.kind != "mps" for gpu in info.gpus)
    return pins, t("cross_platform.copies_overlap" if pins else "cross_platform.nothing_copied")


def _backend(info: PlatformInfo, device: str) -> tuple[str, str]:
    if not _on_cpu(info, device):
        if PlatformCapability.TRITON_KERNELS in info.capabilities:
            version = info.packages["triton"]
            return "triton", t("cross_platform.triton_and_gpu", version=version)
        return "reference", t("cross_platform.no_triton")
    if PlatformCapability.CPU_KERNELS in info.capabilities:
        return "cpu", f"numba {info.packages['numba']}"
    return "reference", t("cross_platform.no_numba")


def _on_cpu(info: PlatformInfo, device: str) -> bool:
    return not info.gpus or device == "cpu"


def _cores(info: PlatformInfo) -> str:
    return t("cross_platform.cores", count=info.cores)


_CHOOSERS: dict[str, Callable[[PlatformInfo, str], tuple[Any, str]]] = {
    "device": _device,
    "accelerator": _accelerator,
    "precision": _precision,
    "num_workers": _num_workers,
    "max_workers": _max_workers,
    "batch_size": _batch_size,
    "pin_memory": _pin_memory,
    "backend": _backend,
    "ops": _backend,
}
