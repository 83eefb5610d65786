"""`python -m spikeformer`, the same as `python train.py`."""

from __future__ import annotations

import sys

from spikeformer.error_handling import Interrupted, interruptible


def main() -> None:
    """Run the command line; it hears signals while its imports still take their second."""
    try:
        with interruptible():
            from spikeformer.cli import main as run

            run()
    except Interrupted as stop:
        print(f"error: {stop}", file=sys.stderr)
        sys.exit(128 + stop.signal_number)


if __name__ == "__main__":
    main()
