"""Which features of SpikeFormer work on this machine, and what the others need."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from spikeformer.cross_platform import GIB, PlatformCapability, PlatformInfo, toolchain_folders


@dataclass(frozen=True)
class Feature:
    """Something that may work here or not.

    Attributes:
        name: What it is.
        ready: Whether it works.
        detail: What was found, or what is missing.
        remedy: What to do about it; empty if it works.
    """

    name: str
    ready: bool
    detail: str
    remedy: str = ""


EXTRAS = {
    "Image, text and audio data": (
        "data",
        ("datasets", "kornia", "pillow", "soundfile", "tokenizers", "transformers"),
    ),
    "Conversion (pipeline=convert)": ("conversion", ("safetensors", "transformers")),
    "TensorBoard (logger=tensorboard)": ("tensorboard", ("tensorboard",)),
    "NIR export": ("nir", ("nir",)),
    "Parallel sweeps (joblib)": ("joblib", ("hydra-joblib-launcher",)),
}
"""Features that need packages alone: the extra that brings them, and the packages."""


def find_features(info: PlatformInfo) -> list[Feature]:
    """Return all features, in the order in which people meet them.

    Args:
        info: The platform.
    """
    return [
        _gpu(info),
        _cpu_kernels(info),
        _triton(info),
        _compiler(info),
        *(_extra(name, *needs) for name, needs in EXTRAS.items()),
        _wandb(),
        *_energy(info),
        *_toolchains(info),
        _browser(),
        _extra("Documentation (make docs)", "docs", ("mkdocs", "mkdocs-material", "mkdocstrings")),
    ]


def _gpu(info: PlatformInfo) -> Feature:
    name = "GPU (trainer=gpu)"
    if info.gpus:
        listed = ", ".join(f"{gpu.name} {gpu.memory_bytes / GIB:.3g} GiB" for gpu in info.gpus)
        return Feature(name, True, listed)
    if shutil.which("nvidia-smi"):
        remedy = "Install the CUDA build of torch that fits the driver: https://pytorch.org."
        return Feature(name, False, "there is a driver, but torch cannot use it", remedy)
    return Feature(name, False, "none that torch can use", "Training runs on the CPU.")


def _cpu_kernels(info: PlatformInfo) -> Feature:
    name = "Kernels for CPUs (ops=cpu)"
    if PlatformCapability.CPU_KERNELS in info.capabilities:
        return Feature(name, True, f"numba {info.packages['numba']}")
    return Feature(name, False, "numba is not installed", "pip install numba")


def _triton(info: PlatformInfo) -> Feature:
    name = "Kernels for GPUs (ops=triton)"
    if PlatformCapability.TRITON_KERNELS in info.capabilities:
        return Feature(name, True, f"triton {info.packages['triton']}")
    if "triton" not in info.packages:
        return Feature(name, False, "triton is not installed", "It comes with torch for CUDA.")
    remedy = "On a CPU, TRITON_INTERPRET=1 tests the kernels."
    return Feature(name, False, f"triton {info.packages['triton']}, but no GPU", remedy)


def _compiler(info: PlatformInfo) -> Feature:
    name = "torch.compile (compile=true)"
    if PlatformCapability.CPP_COMPILER in info.capabilities:
        return Feature(name, True, "a C++ compiler")
    return Feature(name, False, "no C++ compiler", "Debian: apt install g++")


def _extra(name: str, extra: str, packages: tuple[str, ...]) -> Feature:
    found = {package: _version(package) for package in packages}
    missing = [package for package, number in found.items() if number is None]
    if missing:
        remedy = f'pip install "spikeformer[{extra}]"'
        return Feature(name, False, f"missing: {', '.join(missing)}", remedy)
    return Feature(name, True, ", ".join(f"{package} {found[package]}" for package in packages))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _wandb() -> Feature:
    from spikeformer.pipeline.loggers import wandb_mode

    mode = wandb_mode()
    if mode == "offline":
        return Feature("W&B online", False, "runs are logged offline", "wandb login")
    return Feature("W&B online", mode != "disabled", f"mode {mode}")


def _energy(info: PlatformInfo) -> Iterator[Feature]:
    counters = sorted(Path("/sys/class/powercap").glob("intel-rapl:?/energy_uj"))
    name, extra = "Measured energy of CPUs (profiler=pyjoules)", _version("pyJoules")
    if "rapl" not in info.energy_counters:
        if counters:
            remedy = f"sudo chmod a+r {counters[0]}"
            yield Feature(name, False, "this user may not read the RAPL counters", remedy)
        else:
            remedy = "profiler=simulation models the energy."
            yield Feature(name, False, "no RAPL counters, as in most containers", remedy)
    elif extra is None:
        yield Feature(name, False, "pyJoules is not installed", 'pip install "spikeformer[energy]"')
    else:
        yield Feature(name, True, f"RAPL through pyJoules {extra}")
    name = "Measured energy of GPUs (profiler=nvml)"
    if "nvml" in info.energy_counters:
        yield Feature(name, True, "NVML answers")
    elif _version("nvidia-ml-py") is None:
        remedy = 'pip install "spikeformer[energy]"'
        yield Feature(name, False, "nvidia-ml-py is not installed", remedy)
    else:
        yield Feature(name, False, "no NVIDIA driver", "profiler=simulation models the energy.")


def _toolchains(info: PlatformInfo) -> Iterator[Feature]:
    for toolchain, title in (("loihi2", "Loihi 2"), ("spinnaker", "SpiNNaker")):
        name = f"{title} (hardware={toolchain})"
        if toolchain in info.toolchains:
            yield Feature(name, True, info.toolchains[toolchain])
        else:
            looked = ", ".join(str(folder) for folder in toolchain_folders())
            yield Feature(name, False, f"not installed in {looked}", "make toolchains")


def _browser() -> Feature:
    name = "Tests of the report in a browser"
    missing = [tool for tool in ("chromium", "chromedriver") if shutil.which(tool) is None]
    if not missing:
        return Feature(name, True, os.path.realpath(shutil.which("chromium") or ""))
    return Feature(name, False, f"missing: {', '.join(missing)}", "make browser")
