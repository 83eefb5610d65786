"""`spikeformer energy`: what a network costs, whoever wrote it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spikeformer.cli.own_network import failed, own_network
from spikeformer.cli.parser import command_parser
from spikeformer.cli.text import table
from spikeformer.data.batch import call, named_tensors
from spikeformer.error_handling import ConfigurationError
from spikeformer.files import read_arrays
from spikeformer.i18n import format_number, t
from spikeformer.profiling import TECHNOLOGIES, EnergyProfiler, EnergyRecording, energy_text
from spikeformer.reporting import Fact, build_section_page
from spikeformer.reporting.formats import count
from spikeformer.reporting.sections.energy import notes
from spikeformer.runs import EnergyResults, RunResults

_NOTES = """\
The network's file is run like any program of yours. Without --data the input is random, and
firing rates are those of noise. Samples and timesteps show in the neurons of SpikingJelly,
snnTorch, Norse, sinabs and ours; where they do not, --time-axis or --timesteps says them.

  spikeformer energy my_net.py:build --input 8,3,32,32
  spikeformer energy my_net.py:build --data batch.npz --time-axis 0 --hardware simulation \\
      --html energy.html
"""


def energy(arguments: Sequence[str]) -> int:
    """Count one batch of a network, print what it costs, and write the page that is asked for.

    Args:
        arguments: What follows `energy` on the command line.

    Returns:
        0.

    Raises:
        ConfigurationError: Something that was named is not there or does not fit.
        ProfilingError: Samples and timesteps do not show, or not as they were said to be.
    """
    options = make_parser().parse_args(arguments)
    torch.manual_seed(options.seed)
    network = own_network(options.network)
    inputs = _inputs(options)
    profiler = EnergyProfiler(options.hardware).attach(network)
    recording = _measured(profiler, network, inputs, options)
    results = EnergyResults.of(profiler, recording)
    print("\n".join(_lines(options, network, inputs, results)))
    if options.html is not None:
        _write_page(options.html, options.network, results)
        print(t("cli.energy_page", path=options.html))
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of `spikeformer energy`."""
    parser = command_parser("energy", _NOTES)
    add = parser.add_argument
    add("network", metavar="FILE:NAME", help="a network, or a function or class that makes one")
    add("--input", type=_shape, metavar="SIZES", help="shape of the input, as 8,3,32,32")
    add("--data", type=Path, metavar="FILE.npz", help="the input; several arrays go by their names")
    add("--time-axis", type=int, metavar="AXIS", help="axis of time in the input, 0 or 1")
    add("--timesteps", type=int, metavar="T", help="timesteps of a sample")
    add(
        "--loop",
        action="store_true",
        help="call the network in each timestep, with a slice of --time-axis or the same input",
    )
    add("--hardware", default="simulation", choices=list(TECHNOLOGIES), help="what runs it")
    add("--html", type=Path, metavar="PAGE.html", help="write a self-contained page")
    add("--seed", type=int, default=0, help="of weights and random input (0)")
    return parser


def _shape(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise argparse.ArgumentTypeError(t("cli.energy_no_shape", text=text))
    return sizes


def _inputs(options: argparse.Namespace) -> Any:
    """Return the arrays of the file, or random numbers."""
    if options.data is None:
        if options.input is None:
            raise ConfigurationError(t("cli.energy_no_input"))
        return torch.rand(options.input)
    if not options.data.is_file():
        raise ConfigurationError(t("cli.energy_no_file", path=options.data))
    arrays = {name: _tensor(array) for name, array in read_arrays(options.data).items()}
    if not arrays:
        raise ConfigurationError(t("cli.energy_no_arrays", path=options.data))
    if len(arrays) > 1:
        return arrays
    (x,) = arrays.values()
    if options.input is not None and tuple(x.shape) != options.input:
        raise ConfigurationError(
            t(
                "cli.energy_other_shape",
                path=options.data,
                found=tuple(x.shape),
                shape=options.input,
            )
        )
    return x


def _tensor(array: Any) -> Tensor:
    x = torch.from_numpy(array.copy())
    return x.float() if x.dtype in (torch.float64, torch.bool) else x


@torch.no_grad()
def _measured(
    profiler: EnergyProfiler, network: nn.Module, inputs: Any, options: argparse.Namespace
) -> EnergyRecording:
    time = {"time_axis": options.time_axis, "timesteps": options.timesteps}
    steps = [inputs]
    if options.loop:
        steps = _steps(inputs, options)
        time = {"time_axis": None, "timesteps": len(steps)}
    recording = profiler.measure(**time)
    try:
        with recording:
            for step in steps:
                call(network, step)
    except Exception as error:
        raise failed(options.network, error, shape=_shapes(inputs)) from error
    return recording


def _steps(inputs: Any, options: argparse.Namespace) -> list[Any]:
    axis, timesteps = options.time_axis, options.timesteps
    if axis is None:
        if timesteps is None:
            raise ConfigurationError(t("cli.energy_loop"))
        return [inputs] * timesteps
    if not isinstance(inputs, Tensor) or axis not in range(inputs.dim()):
        raise ConfigurationError(t("cli.energy_no_axis", axis=axis, shape=_shapes(inputs)))
    return list(inputs.unbind(axis))


def _shapes(inputs: Any) -> str:
    shapes = {name: tuple(x.shape) for name, x in named_tensors(inputs).items()}
    return ", ".join(f"{name} {shape}".strip() for name, shape in shapes.items())


def _lines(
    options: argparse.Namespace, network: nn.Module, inputs: Any, results: EnergyResults
) -> list[str]:
    metrics = results.metrics
    noise = options.data is None
    lines = [
        t(
            "cli.energy_of_noise" if noise else "cli.energy_of_data",
            network=type(network).__name__,
            samples=metrics["samples"],
            timesteps=metrics["timesteps"],
            shape=_shapes(inputs),
            data=options.data,
        ),
        t(
            "cli.energy_total",
            energy=energy_text(metrics["energy_per_sample_uj"]),
            low=energy_text(metrics["energy_per_sample_low_uj"]),
            high=energy_text(metrics["energy_per_sample_high_uj"]),
            hardware=options.hardware,
        ),
    ]
    if metrics["firing_rate"] is not None:
        lines.append(t("cli.energy_rate", rate=metrics["firing_rate"]))
    lines += ["", *_layers(results), "", *_comparison(results), ""]
    lines += results.verdict if not results.break_even else []
    lines += [each.sentence() for each in results.break_even]
    lines += notes(results)
    lines.append(t("cli.energy_source", source=metrics["source"]))
    return lines


def _layers(results: EnergyResults) -> list[str]:
    head = ("layer", "full_product", "macs", "acs", "updates", "memory", "energy")
    rows = [tuple(t(f"reporting.{name}") for name in head)]
    columns = ("dense", "macs", "acs", "neuron_updates", "memory_accesses")
    for row in results.table:
        cells = [count(row[column]) for column in columns]
        last = energy_text(row["energy_uj"])
        if row["kind"] == "uncounted":
            cells, last = [""] * len(columns), t("reporting.not_counted")
        rows.append((row["layer"], *cells, last))
    return table(rows)


def _comparison(results: EnergyResults) -> list[str]:
    rows = [
        (
            row.network,
            row.precision,
            energy_text(row.energy_uj.value),
            energy_text(row.energy_uj.low),
            energy_text(row.energy_uj.high),
        )
        for row in results.comparison
    ]
    head = ("network", "format", "energy", "from", "to")
    return table([tuple(t(f"profiling.head_{name}") for name in head), *rows], names=2)


def _write_page(path: Path, name: str, results: EnergyResults) -> None:
    metrics = results.metrics
    facts = [
        Fact(t("reporting.samples"), str(metrics["samples"])),
        Fact(t("reporting.timesteps"), str(metrics["timesteps"])),
    ]
    if metrics["firing_rate"] is not None:
        rate = format_number(metrics["firing_rate"], ".1%")
        facts.append(Fact(t("reporting.firing_rate"), rate))
    run = RunResults(folder=path.parent, name=name, energy=results)
    build_section_page(run, "energy", path, kind=t("reporting.energy_page"), facts=facts)
