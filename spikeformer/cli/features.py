"""Which features of SpikeFormer work on this machine, and what the others need."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from spikeformer.cross_platform import GIB, PlatformCapability, PlatformInfo, toolchain_folders
from spikeformer.i18n import format_number, t


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
    "cli.feature_data": (
        "data",
        ("datasets", "kornia", "pillow", "soundfile", "tokenizers", "transformers"),
    ),
    "cli.feature_conversion": ("conversion", ("transformers",)),
    "cli.feature_events": ("events", ("aedat", "evt3", "h5py")),
    "TensorBoard (logger=tensorboard)": ("tensorboard", ("tensorboard",)),
    "MLflow (logger=mlflow)": ("mlflow", ("mlflow",)),
    "cli.feature_nir": ("nir", ("nir",)),
    "cli.feature_sweeps": ("sweeps", ("hydra-joblib-launcher", "optuna")),
}
"""Features that need packages alone, by name or its message: their extra, and the packages."""


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
        *(_extra(_named(name), *needs) for name, needs in EXTRAS.items()),
        _wandb(),
        *_energy(info),
        *_toolchains(info),
        _browser(),
        _extra(t("cli.feature_docs"), "docs", ("mkdocs", "mkdocs-material", "mkdocstrings")),
    ]


def _named(name: str) -> str:
    return t(name) if name.startswith("cli.") else name


def _gpu(info: PlatformInfo) -> Feature:
    name = "GPU (trainer=gpu)"
    if info.gpus:
        sizes = [(gpu.name, format_number(gpu.memory_bytes / GIB, ".3g")) for gpu in info.gpus]
        return Feature(name, True, ", ".join(f"{gpu} {size} GiB" for gpu, size in sizes))
    if shutil.which("nvidia-smi"):
        return Feature(name, False, t("cli.gpu_unusable"), t("cli.gpu_remedy"))
    return Feature(name, False, t("cli.gpu_none"), t("cli.trains_on_cpu"))


def _cpu_kernels(info: PlatformInfo) -> Feature:
    name = t("cli.feature_cpu_kernels")
    if PlatformCapability.CPU_KERNELS in info.capabilities:
        return Feature(name, True, f"numba {info.packages['numba']}")
    return Feature(name, False, t("cli.not_installed", package="numba"), "pip install numba")


def _triton(info: PlatformInfo) -> Feature:
    name = t("cli.feature_gpu_kernels")
    if PlatformCapability.TRITON_KERNELS in info.capabilities:
        return Feature(name, True, f"triton {info.packages['triton']}")
    if "triton" not in info.packages:
        absent = t("cli.not_installed", package="triton")
        return Feature(name, False, absent, t("cli.comes_with_torch"))
    found = t("cli.triton_without_gpu", version=info.packages["triton"])
    return Feature(name, False, found, t("cli.interpreter_tests"))


def _compiler(info: PlatformInfo) -> Feature:
    name = "torch.compile (compile=true)"
    if PlatformCapability.CPP_COMPILER in info.capabilities:
        return Feature(name, True, t("cli.compiler"))
    return Feature(name, False, t("cli.no_compiler"), "Debian: apt install g++")


def _extra(name: str, extra: str, packages: tuple[str, ...]) -> Feature:
    found = {package: _version(package) for package in packages}
    missing = [package for package, number in found.items() if number is None]
    if missing:
        remedy = f'pip install "spikeformer[{extra}]"'
        return Feature(name, False, _lacking(missing), remedy)
    return Feature(name, True, ", ".join(f"{package} {found[package]}" for package in packages))


def _lacking(names: list[str]) -> str:
    return t("cli.missing_packages", names=", ".join(names))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _wandb() -> Feature:
    from spikeformer.pipeline.loggers import wandb_mode

    name, mode = t("cli.feature_wandb"), wandb_mode()
    if mode == "offline":
        return Feature(name, False, t("cli.logs_offline"), "wandb login")
    return Feature(name, mode != "disabled", t("cli.mode", mode=mode))


def _energy(info: PlatformInfo) -> Iterator[Feature]:
    counters = sorted(Path("/sys/class/powercap").glob("intel-rapl:?/energy_uj"))
    name, extra = t("cli.feature_cpu_energy"), _version("pyJoules")
    if "rapl" not in info.energy_counters:
        if counters:
            remedy = f"sudo chmod a+r {counters[0]}"
            yield Feature(name, False, t("cli.rapl_forbidden"), remedy)
        else:
            yield Feature(name, False, t("cli.rapl_absent"), t("cli.modelled_energy"))
    elif extra is None:
        absent = t("cli.not_installed", package="pyJoules")
        yield Feature(name, False, absent, 'pip install "spikeformer[energy]"')
    else:
        yield Feature(name, True, t("cli.rapl_through", version=extra))
    name = t("cli.feature_gpu_energy")
    if "nvml" in info.energy_counters:
        yield Feature(name, True, t("cli.nvml_answers"))
    elif _version("nvidia-ml-py") is None:
        absent = t("cli.not_installed", package="nvidia-ml-py")
        yield Feature(name, False, absent, 'pip install "spikeformer[energy]"')
    else:
        yield Feature(name, False, t("cli.no_driver"), t("cli.modelled_energy"))


def _toolchains(info: PlatformInfo) -> Iterator[Feature]:
    from spikeformer.hardware.targets import deployer_classes

    for target in (deployer.target for deployer in deployer_classes().values()):
        toolchain, name = target.toolchain, f"{target.label} (hardware={target.name})"
        if toolchain is None:
            continue
        if toolchain in info.toolchains:
            yield Feature(name, True, info.toolchains[toolchain])
        else:
            looked = ", ".join(str(folder) for folder in toolchain_folders())
            yield Feature(name, False, t("cli.not_installed_in", folders=looked), "make toolchains")


def _browser() -> Feature:
    name = t("cli.feature_browser")
    missing = [tool for tool in ("chromium", "chromedriver") if shutil.which(tool) is None]
    if not missing:
        return Feature(name, True, os.path.realpath(shutil.which("chromium") or ""))
    return Feature(name, False, _lacking(missing), "make browser")
