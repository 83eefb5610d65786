r"""Put the network of a run among those that come with the package.

python train.py experiment=digits neuron=lif_hard timesteps=4 'callbacks=[default,hybrid]' \
    trainer.max_epochs=44 name=digits hydra.run.dir=outputs/digits
python scripts/pretrained.py outputs/digits
"""

from __future__ import annotations

import argparse
from pathlib import Path

from spikeformer import load_run
from spikeformer.config import BUNDLED

LIMIT = 3_000_000
"""Bytes of weights that a network may bring."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="run folder; its name becomes the network's")
    run = load_run(parser.parse_args().run)
    size = sum(p.numel() * p.element_size() for p in run.network.state_dict().values())
    if size > LIMIT:
        parser.error(f"expected at most {LIMIT:,} bytes of weights, got {size:,}")
    print(run.save_pretrained(BUNDLED / run.results.name))


if __name__ == "__main__":
    main()
