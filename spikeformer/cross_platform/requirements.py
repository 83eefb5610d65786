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
        raise ArgumentError("requirements", unknown[0], "a key among " + ", ".join(_CHECKS))
    return [
        issue for key, value in requirements.items() for issue in _CHECKS[key](value, info) if issue
    ]


def _one_of(attribute: str) -> Callable[[Any, PlatformInfo], Iterable[str]]:
    def check(wanted: Any, info: PlatformInfo) -> Iterable[str]:
        names = [str(getattr(name, "value", name)) for name in _several(wanted)]
        here = getattr(info, attribute).value
        if here not in names:
            yield f"Needs {attribute} {' or '.join(names)}, but this is {here}."

    return check


def _python(wanted: Any, info: PlatformInfo) -> Iterable[str]:
    try:
        fits = SpecifierSet(str(wanted)).contains(info.python, prereleases=True)
    except InvalidSpecifier as error:
        raise ArgumentError("python", wanted, "a version range such as '>=3.11'") from error
    if not fits:
        yield f"Needs Python {wanted}, but this is {info.python}."


def _at_least(
    what: str, measure: Callable[[PlatformInfo], float | None]
) -> Callable[[Any, PlatformInfo], Iterable[str]]:
    def check(wanted: Any, info: PlatformInfo) -> Iterable[str]:
        if isinstance(wanted, bool) or not isinstance(wanted, int | float):
            raise ArgumentError(what, wanted, "a number")
        here = measure(info)
        if here is None:
            yield f"Needs {wanted:g} {what}, but how many there are, nobody tells."
        elif here < wanted:
            yield f"Needs {wanted:g} {what}, but there are {here:.3g}."

    return check


def _gib(amount: int | None) -> float | None:
    return None if amount is None else amount / GIB


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
            yield f"Needs {capability.value}, which this platform does not have."


def _packages(wanted: Any, info: PlatformInfo) -> Iterable[str]:
    for text in _several(wanted):
        try:
            package = Requirement(text)
        except InvalidRequirement as error:
            raise ArgumentError("packages", text, "a package such as 'triton>=3.7'") from error
        try:
            found = version(package.name)
        except PackageNotFoundError:
            yield f"Needs the package {text}, which is not installed."
            continue
        if not package.specifier.contains(found, prereleases=True):
            yield f"Needs the package {text}, but {found} is installed."


def _toolchains(wanted: Any, info: PlatformInfo) -> Iterable[str]:
    for name in _several(wanted):
        if name not in info.toolchains:
            yield f"Needs the toolchain {name}, which is not installed. Run `make toolchains`."


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple | set | frozenset) else [value]


_CHECKS: dict[str, Callable[[Any, PlatformInfo], Iterable[str]]] = {
    "os": _one_of("os"),
    "architecture": _one_of("architecture"),
    "python": _python,
    "min_cores": _at_least("cores", lambda info: info.cores),
    "min_memory_gib": _at_least("GiB of memory", lambda info: _gib(info.memory_bytes)),
    "min_disk_gib": _at_least(
        "GiB of free disk", lambda _: shutil.disk_usage(Path.cwd()).free / GIB
    ),
    "min_gpus": _at_least("GPUs", lambda info: len(info.gpus)),
    "min_gpu_memory_gib": _at_least("GiB of memory on a GPU", _largest_gpu),
    "min_compute_capability": _at_least("as compute capability", _best_capability),
    "capabilities": _capabilities,
    "packages": _packages,
    "toolchains": _toolchains,
}
