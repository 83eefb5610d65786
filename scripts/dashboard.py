"""Compare runs: accuracy against energy, firing rates, a sweep's parallel coordinates.

    python scripts/dashboard.py --local outputs/                 one page from run folders
    python scripts/dashboard.py ENTITY/PROJECT                   a workspace in Weights & Biases
    python scripts/dashboard.py ENTITY/PROJECT --report          a report there
    python scripts/dashboard.py ENTITY/PROJECT --group SWEEP     of one sweep
    python scripts/dashboard.py ENTITY/PROJECT --spec            what would be sent, as JSON

Needs the extra `dashboard`. The first needs no account, the last no login for a workspace.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from spikeformer.error_handling import MissingDependencyError, SpikeformerError
from spikeformer.i18n import t
from spikeformer.pipeline.loggers import wandb_mode

AXES = ("optimizer.lr", "optimizer.weight_decay", "neuron.tau_mem", "timesteps", "seed")
"""Settings among the parallel coordinates, unless others are named."""

ACCURACY, ENERGY = "test/accuracy", "energy/energy_per_sample_uj"
RATES = ("train/firing_rate", "val/firing_rate")
LEARNING = ("val/accuracy", "train/loss")


def wandb_views() -> tuple[Any, Any]:
    """Return the modules that describe workspaces and reports."""
    try:
        import wandb_workspaces.reports.v2 as reports
        import wandb_workspaces.workspaces as workspaces
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "Expected the package 'wandb-workspaces' to be installed. Install it with: "
            'python -m pip install --editable ".[dashboard]"'
        ) from error
    return workspaces, reports


def panels(axes: list[str]) -> dict[str, list[Any]]:
    """Return the project's views by title; each name is one that a run logs."""
    _, wr = wandb_views()
    columns = [wr.ParallelCoordinatesPlotColumn(metric=wr.Config(axis)) for axis in axes]
    columns += [
        wr.ParallelCoordinatesPlotColumn(metric=wr.SummaryMetric(metric))
        for metric in ("val/firing_rate", ENERGY, ACCURACY)
    ]
    return {
        "Accuracy against energy": [
            wr.ScatterPlot(
                title="Test accuracy by energy, µJ a sample",
                x=wr.SummaryMetric(ENERGY),
                y=wr.SummaryMetric(ACCURACY),
            )
        ],
        "Firing rates": [
            wr.LinePlot(title=name, x="epoch", y=[name], title_y="spikes per neuron and timestep")
            for name in RATES
        ],
        "Learning": [wr.LinePlot(title=name, x="epoch", y=[name]) for name in LEARNING],
        "Sweep": [wr.ParallelCoordinatesPlot(title="Settings and results", columns=columns)],
        "Differences": [wr.RunComparer(diff_only="split")],
    }


def workspace(entity: str, project: str, group: str | None, axes: list[str]) -> Any:
    """Return a workspace with one section for each view."""
    ws, _ = wandb_views()
    sections = [
        ws.Section(name=title, panels=own, is_open=True) for title, own in panels(axes).items()
    ]
    filters = [ws.Metric("Group") == group] if group else []
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"SpikeFormer: {group or 'all runs'}",
        sections=sections,
        runset_settings=ws.RunsetSettings(filters=filters),
    )


def report(entity: str, project: str, group: str | None, axes: list[str]) -> Any:
    """Return a report with a heading and a grid of panels for each view."""
    _, wr = wandb_views()
    filters = f"Group = '{group}'" if group else ""
    runset = wr.Runset(entity=entity, project=project, name=group or "all runs", filters=filters)
    blocks: list[Any] = []
    for title, own in panels(axes).items():
        blocks += [wr.H2(title), wr.PanelGrid(runsets=[runset], panels=own)]
    return wr.Report(
        entity=entity,
        project=project,
        title=f"SpikeFormer: {group or 'all runs'}",
        description="Energies are estimates unless a run says that they were measured.",
        blocks=blocks,
        width="fluid",
    )


def local(root: Path, page: Path | None) -> None:
    """Write the page of the runs below a folder."""
    from spikeformer.reporting import build_dashboard, summarize_runs

    written = build_dashboard(root, page)
    runs = summarize_runs(root)
    if not runs:
        print(t("reporting.no_runs_yet", folder=root))
    broken = sum(run.status == "broken" for run in runs)
    told = {"count": len(runs), "page": written}
    if broken:
        print(t("reporting.board_written_broken", **told, broken=broken))
    else:
        print(t("reporting.board_written", **told))


def remote(arguments: argparse.Namespace) -> None:
    """Save a workspace or a report in Weights & Biases, or print what would be saved."""
    # A report names its project by an id, which only the server knows.
    if wandb_mode() != "online" and (arguments.report or not arguments.spec):
        raise SpikeformerError(
            "Weights & Biases needs a login for this: run `wandb login`. Without an account, "
            "`--local outputs/` makes the same views from run folders."
        )
    entity, slash, project = arguments.project.partition("/")
    if not (entity and slash and project):
        raise SpikeformerError(f"Expected ENTITY/PROJECT, but got {arguments.project!r}.")
    make = report if arguments.report else workspace
    view = make(entity, project, arguments.group, arguments.axes)
    if arguments.spec:
        print(json.dumps(view._to_model().model_dump(by_alias=True, mode="json"), indent=2))
        return
    view.save()
    print(view.url)


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("project", nargs="?", help="ENTITY/PROJECT in Weights & Biases")
    parser.add_argument("--local", type=Path, metavar="FOLDER", help="a folder of runs")
    parser.add_argument("--page", type=Path, help="the page to write (FOLDER/dashboard.html)")
    parser.add_argument("--report", action="store_true", help="a report in place of a workspace")
    parser.add_argument("--group", help="only the runs of this group; a sweep is one")
    parser.add_argument(
        "--axes", nargs="+", default=list(AXES), help="settings among the parallel coordinates"
    )
    parser.add_argument("--spec", action="store_true", help="print it, send nothing")
    given = parser.parse_args(arguments)
    if (given.project is None) == (given.local is None):
        parser.error("name either ENTITY/PROJECT or --local FOLDER")
    try:
        if given.local is not None:
            local(given.local, given.page)
        else:
            remote(given)
    except SpikeformerError as error:
        sys.exit(t("cli.error", message=error))


if __name__ == "__main__":
    main()
