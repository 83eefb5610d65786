"""What this machine offers: cores, memory, GPUs, kernels, toolchains, energy counters."""

from spikeformer.cross_platform.choices import AUTO, Choice, choose, loader_workers
from spikeformer.cross_platform.detector import PlatformDetector
from spikeformer.cross_platform.manager import (
    CrossPlatformManager,
    check_platform_compatibility,
    get_platform_info,
    optimize_config_for_platform,
)
from spikeformer.cross_platform.requirements import unmet
from spikeformer.cross_platform.toolchains import (
    FOLDER_VARIABLE,
    installed_toolchains,
    toolchain_folders,
)
from spikeformer.cross_platform.types import (
    GIB,
    Architecture,
    Gpu,
    OperatingSystem,
    PlatformCapability,
    PlatformInfo,
)

__all__ = [
    "AUTO",
    "FOLDER_VARIABLE",
    "GIB",
    "Architecture",
    "Choice",
    "CrossPlatformManager",
    "Gpu",
    "OperatingSystem",
    "PlatformCapability",
    "PlatformDetector",
    "PlatformInfo",
    "check_platform_compatibility",
    "choose",
    "get_platform_info",
    "installed_toolchains",
    "loader_workers",
    "optimize_config_for_platform",
    "toolchain_folders",
    "unmet",
]
