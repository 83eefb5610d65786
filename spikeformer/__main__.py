"""`python -m spikeformer`, the same as `python train.py`."""

from spikeformer.cli import main

if __name__ == "__main__":
    main()
