"""Whether a platform has what something needs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from spikeformer.cross_platform.types import GIB, PlatformCapability, PlatformInfo
from spikeformer.error_handling import ArgumentError
from spikeformer.i18n import format_list, t


def unmet(requirements: dict[str, Any], info: PlatformInfo) -> list[str]:
    """Return one sentence for each requirement that the platform does not meet.

    Args:
        requirements: Known are `os` and `architecture` (a name or several), `python` (a version
            range such as ">=3.11"), `min_cores`, `min_memory_gib`, `min_disk_gib`, `min_gpus`,
            `min_gpu_memory_gib`, `min_compute_capability` (such as 8.0), `capabilities` (of
            `PlatformCapability`, or their values), `packages` (such as "triton>=3.7") and
            `toolchains`.
        info: The platform.

    Raises:
        ArgumentError: A key is unknown, or a value cannot be read.
    """
    unknown = sorted(set(requirements) - set(_CHECKS))
    if unknown:
        raise ArgumentError("requirements", unknown[0], f"one of {', '.join(_CHECKS)}")
    return [
        issue for key, value in requirements.items() for issue in _CHECKS[key](value, info) if issue
    ]


def _one_of(attribute: str) -> Callable[[Any, PlatformInfo], Iterable[str]]:
    def check(wanted: Any, info: PlatformInfo) -> Iterable[str]:
        names = [str(getattr(name, "value", name)) for name in _several(wanted)]
        here = getattr(info, attribute).value
        if here not in names:
            wanted_names = format_list(names, "or")
            yield t(
                "cross_platform.needs_one_of", attribute=attribute, names=wanted_names, here=here
            )

    return check


def _python(wanted: Any, info: PlatformInfo) -> Iterable[str]:
    try:
        fits = SpecifierSet(str(wanted)).contains(info.python, prereleases=True)
    except InvalidSpecifier as error:
        raise ArgumentError("python", wanted, "a version range such as '>=3.11'") from error
    if not fits:
        yield t("cross_platform.needs_python", wanted=wanted, here=info.python)


def _at_least(
    key: str, what: str, measure: Callable[[PlatformInfo], float]
) -> Callable[[Any, PlatformInfo], Iterable[str]]:
    def check(wanted: Any, info: PlatformInfo) -> Iterable[str]:
        if isinstance(wanted, bool) or not isinstance(wanted, int | float):
            raise ArgumentError(key, wanted, "a number")
        here = measure(info)
        if here < wanted:
            yield t("cross_platform.needs_more", wanted=wanted, what=t(what), here=here)

    return check


def _largest_gpu(info: PlatformInfo) -> float:
    return max((gpu.memory_bytes for gpu in info.gpus), default=0) / GIB


def _best_capability(info: PlatformInfo) -> float:
    found = [gpu.capability for gpu in info.gpus if gpu.capability is not None]
    return max((major + minor / 10 for major, minor in found), default=0.0)


def _capabilities(wanted: Any, info: PlatformInfo) -> Iterable[str]:
    for name in _several(wanted):
        try:
            capability = PlatformCapability(name)
        except ValueError as error:
            known = ", ".join(capability.value for capability in PlatformCapability)
            raise ArgumentError("capabilities", name, f"one of {known}") from error
        if capability not in info.capabilities:
            yield t("cross_platform.needs_capability", capability=capability.value)


def _packages(wanted: Any, info: PlatformInfo) -> Iterable[str]:
    for text in _several(wanted):
        try:
            package = Requirement(text)
        except InvalidRequirement as error:
            raise ArgumentError("packages", text, "a package such as 'triton>=3.7'") from error
        try:
            found = version(package.name)
        except PackageNotFoundError:
            yield t("cross_platform.needs_package", package=text)
            continue
        if not package.specifier.contains(found, prereleases=True):
            yield t("cross_platform.needs_version", package=text, found=found)


def _toolchains(wanted: Any, info: PlatformInfo) -> Iterable[str]:
    for name in _several(wanted):
        if name not in info.toolchains:
            yield t("cross_platform.needs_toolchain", name=name)


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple | set | frozenset) else [value]


def _free_disk(_: PlatformInfo) -> float:
    return shutil.disk_usage(Path.cwd()).free / GIB


_AMOUNTS: tuple[tuple[str, str, Callable[[PlatformInfo], float]], ...] = (
    ("min_cores", "cores", lambda info: info.cores),
    ("min_memory_gib", "memory", lambda info: info.memory_bytes / GIB),
    ("min_disk_gib", "disk", _free_disk),
    ("min_gpus", "gpus", lambda info: len(info.gpus)),
    ("min_gpu_memory_gib", "gpu_memory", _largest_gpu),
    ("min_compute_capability", "capability", _best_capability),
)
"""Keys, the ends of the messages that name the amounts, and how much there is."""

_CHECKS: dict[str, Callable[[Any, PlatformInfo], Iterable[str]]] = {
    "os": _one_of("os"),
    "architecture": _one_of("architecture"),
    "python": _python,
    **{
        key: _at_least(key, f"cross_platform.what_{what}", measure)
        for key, what, measure in _AMOUNTS
    },
    "capabilities": _capabilities,
    "packages": _packages,
    "toolchains": _toolchains,
}
