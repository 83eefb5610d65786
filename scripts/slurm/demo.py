"""A sweep of two runs on a Slurm of one node, which starts before it and ends after it.

make slurm-demo
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from cluster import INSTALLED, Cluster

REPOSITORY = Path(__file__).parents[2]

# A network of seconds: what is shown is where it runs.
SWEEP = (
    "--multirun",
    "hydra/launcher=submitit_slurm",
    "hydra.launcher.cpus_per_task=1",
    "hydra.launcher.timeout_min=10",
    "seed=1,2",
    "name=slurm-demo",
    "model.d_model=16",
    "model.nhead=2",
    "model.num_layers=1",
    "timesteps=2",
    "trainer=cpu",
    "trainer.max_epochs=2",
)
SHOW_EVERY_S = 5.0


def sweep(cluster: Cluster, *overrides: str, show: bool = True) -> None:
    """Run the sweep on the cluster and print its queue meanwhile.

    Raises:
        CalledProcessError: The sweep failed.
    """
    command = [sys.executable, str(REPOSITORY / "train.py"), *SWEEP, *overrides]
    process = subprocess.Popen(command, env=cluster.environment, cwd=REPOSITORY)
    shown = time.monotonic()
    while process.poll() is None:
        time.sleep(0.2)
        if show and time.monotonic() - shown > SHOW_EVERY_S:
            print(cluster.run("squeue", "--states=all"), flush=True)
            shown = time.monotonic()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def main() -> None:
    """Start, sweep, show, end."""
    overrides = sys.argv[1:]
    with Cluster(INSTALLED.with_name("slurm-state")) as cluster:
        print(cluster.run("sinfo"), flush=True)
        sweep(cluster, *overrides)
        cluster.wait_until_idle()
        print(cluster.run("sacct", "--completion"))
    newest = max(REPOSITORY.glob("outputs/*/*slurm-demo*/sweep.yaml"), default=None)
    if newest is not None:
        print(f"The runs: {newest.parent.relative_to(REPOSITORY)}")


if __name__ == "__main__":
    main()
