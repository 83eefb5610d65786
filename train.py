"""Compose a configuration and run its pipeline: `python train.py --help`."""

from spikeformer.__main__ import main

if __name__ == "__main__":
    main(default="train")
