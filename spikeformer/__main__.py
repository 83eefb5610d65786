"""`spikeformer`, or `python -m spikeformer`: the command line."""

from __future__ import annotations

import atexit
import gc
import os
import sys

from spikeformer import importing
from spikeformer.error_handling import Interrupted, interruptible

SPINS = "1000"
"""How often an idle thread of OpenMP's looks for new work before it sleeps; libgomp's default is
300,000, about a millisecond."""


def share_cores() -> None:
    """Let idle threads of OpenMP's sleep soon; libgomp reads that when torch is imported.

    On a machine that others use too, threads that spin take the very cores for which the thread
    that they wait for is queueing. What the user has set stays.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPINS


def main(default: str | None = None) -> None:
    """Run the command line; it hears signals while its imports still take their second.

    Args:
        default: The command that an empty command line stands for; None lists the commands.
    """
    share_cores()
    # The interpreter looks for garbage once more when it ends, through all of torch, for seconds;
    # what is freed then serves nobody.
    atexit.register(gc.freeze)
    try:
        with interruptible():
            with importing():
                from spikeformer.cli import main as run
            run(default)
    except Interrupted as stop:
        print(f"error: {stop}", file=sys.stderr)
        sys.exit(128 + stop.signal_number)


if __name__ == "__main__":
    main()
