"""`spikeformer doctor`: what this machine offers, and what each feature still needs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from spikeformer.cli.features import Feature, find_features
from spikeformer.cli.parser import command_parser
from spikeformer.cli.text import padded, width
from spikeformer.cross_platform import GIB, PlatformInfo, get_platform_info
from spikeformer.i18n import format_number, t


def doctor(arguments: Sequence[str]) -> int:
    """Print the platform and the state of every feature, as tables or as JSON; return 0.

    Args:
        arguments: What follows `doctor` on the command line.
    """
    parser = command_parser("doctor", "  spikeformer doctor")
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
    cores, none = str(info.cores), t("cli.doctor_none")
    if info.cores != info.machine_cores:
        cores = t("cli.doctor_some_cores", cores=info.cores, all=info.machine_cores)
    memory = {"total": _gib(info.memory_bytes), "free": _gib(info.available_bytes)}
    facts = {
        t("cli.doctor_system"): f"{info.os.value} {info.os_version}, {info.architecture.value}",
        "Python": info.python,
        t("cli.doctor_processor"): info.cpu,
        t("cli.doctor_cores"): cores,
        t("cli.doctor_memory"): t("cli.doctor_memory_free", **memory),
        t("cli.doctor_container"): ", ".join(info.container_limits) or t("cli.doctor_no_limits"),
        t("cli.doctor_gpus"): ", ".join(gpu.name for gpu in info.gpus) or none,
        t("cli.doctor_packages"): ", ".join(f"{k} {v}" for k, v in info.packages.items()),
        t("cli.doctor_capabilities"): ", ".join(sorted(c.value for c in info.capabilities)) or none,
    }
    columns = max(map(width, facts))
    return [f"{padded(name, columns)}  {value}" for name, value in facts.items()]


def _feature_lines(features: Sequence[Feature]) -> list[str]:
    heads = t("cli.doctor_feature"), t("cli.doctor_state"), t("cli.doctor_found")
    states = {True: t("cli.doctor_ready"), False: t("cli.doctor_missing")}
    rows = [(each.name, states[each.ready], each.detail, each.remedy) for each in features]
    widths = [max(map(width, column)) for column in list(zip(*rows, strict=True))[:2]]
    widths = [max(size, width(head)) for size, head in zip(widths, heads, strict=False)]
    lines = [f"{padded(heads[0], widths[0])}  {padded(heads[1], widths[1])}  {heads[2]}"]
    lines.append("-" * width(lines[0]))
    for name, state, detail, remedy in rows:
        lines.append(f"{padded(name, widths[0])}  {padded(state, widths[1])}  {detail}")
        if remedy:
            lines.append(f"{'':<{sum(widths) + 2}}  -> {remedy}")
    return lines


def _gib(amount: int | None) -> str:
    if amount is None:
        return t("cli.doctor_unknown")
    return f"{format_number(amount / GIB, '.3g')} GiB"
