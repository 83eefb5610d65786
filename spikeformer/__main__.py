"""`spikeformer`, or `python -m spikeformer`: the command line."""

from __future__ import annotations

import sys

from spikeformer.error_handling import Interrupted, interruptible


def main(default: str | None = None) -> None:
    """Run the command line; it hears signals while its imports still take their second.

    Args:
        default: The command that an empty command line stands for; None lists the commands.
    """
    try:
        with interruptible():
            from spikeformer.cli import main as run

            run(default)
    except Interrupted as stop:
        print(f"error: {stop}", file=sys.stderr)
        sys.exit(128 + stop.signal_number)


if __name__ == "__main__":
    main()
