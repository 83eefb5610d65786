"""`spikeformer doctor`: what this machine offers, and what each feature still needs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from spikeformer.cli.features import Feature, find_features
from spikeformer.cross_platform import GIB, PlatformInfo, get_platform_info


def doctor(arguments: Sequence[str]) -> int:
    """Print the platform and the state of every feature, as tables or as JSON; return 0.

    Args:
        arguments: What follows `doctor` on the command line.
    """
    parser = argparse.ArgumentParser(prog="spikeformer doctor", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    chosen = parser.parse_args(arguments)
    info = get_platform_info()
    features = find_features(info)
    if chosen.json:
        content = {"platform": info.to_dict(), "features": [asdict(each) for each in features]}
        print(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        print("\n".join([*_platform_lines(info), "", *_feature_lines(features)]))
    return 0


def _platform_lines(info: PlatformInfo) -> list[str]:
    cores = f"{info.cores} of {info.machine_cores}"
    facts = {
        "System": f"{info.os.value} {info.os_version}, {info.architecture.value}",
        "Python": info.python,
        "Processor": info.cpu,
        "Cores": cores if info.cores != info.machine_cores else str(info.cores),
        "Memory": f"{_gib(info.memory_bytes)}, {_gib(info.available_bytes)} free",
        "Container": ", ".join(info.container_limits) or "no limits",
        "GPUs": ", ".join(gpu.name for gpu in info.gpus) or "none",
        "Packages": ", ".join(f"{name} {number}" for name, number in info.packages.items()),
        "Capabilities": ", ".join(sorted(each.value for each in info.capabilities)) or "none",
    }
    width = max(map(len, facts))
    return [f"{name:<{width}}  {value}" for name, value in facts.items()]


def _feature_lines(features: Sequence[Feature]) -> list[str]:
    width = max(len(feature.name) for feature in features)
    lines = [f"{'Feature':<{width}}  State    Found, or what to do", "-" * (width + 33)]
    for feature in features:
        state = "ready" if feature.ready else "missing"
        lines.append(f"{feature.name:<{width}}  {state:<7}  {feature.detail}")
        if feature.remedy:
            lines.append(f"{'':<{width}}           -> {feature.remedy}")
    return lines


def _gib(amount: int | None) -> str:
    return "unknown" if amount is None else f"{amount / GIB:.3g} GiB"
