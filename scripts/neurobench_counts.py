"""Let NeuroBench count a few small networks; the profiler's tests compare with what it finds.

NeuroBench 2.3 asks for torchaudio, which wants a build of torch of its own and takes no part in
counting. So it gets an environment of its own, without it:

    python -m venv .bench/neurobench
    .bench/neurobench/bin/python -m pip install torch snntorch
    .bench/neurobench/bin/python -m pip install --no-deps neurobench==2.3.0
    .bench/neurobench/bin/python scripts/neurobench_counts.py
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn

RESULT = Path(__file__).parents[1] / "tests" / "profiling" / "neurobench.json"


class Fire(nn.Module):
    """Spikes where a current is high enough."""

    def forward(self, current: Tensor) -> Tensor:
        """Compare with a threshold."""
        return (current > 0.3).float()


def networks() -> dict[str, tuple[nn.Module, Tensor]]:
    """Return networks with an input for each, always the same ones."""
    torch.manual_seed(0)
    image, values = torch.rand(3, 2, 9, 8), torch.randn(4, 10)
    spikes = (torch.rand(4, 10) < 0.3).float()
    return {
        "dense": (nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 5)), values),
        "spiking dense": (nn.Sequential(nn.Linear(10, 16), Fire(), nn.Linear(16, 5)), spikes),
        "convolutions": (
            nn.Sequential(
                nn.Conv2d(2, 4, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(120, 5),
            ),
            image,
        ),
        "spiking convolutions": (
            nn.Sequential(
                nn.Conv2d(2, 4, 3, padding=1, bias=False),
                Fire(),
                nn.Conv2d(4, 6, (3, 2), dilation=2, padding=(2, 0)),
                Fire(),
                nn.Flatten(),
                nn.Linear(324, 5),
            ),
            image,
        ),
        "one dimension": (
            nn.Sequential(nn.Conv1d(2, 4, 3, stride=2), Fire(), nn.Conv1d(4, 3, 2, padding=1)),
            image[..., 0],
        ),
    }


def count(network: nn.Module, inputs: Tensor) -> dict[str, float]:
    """Return NeuroBench's operations for one sample."""
    from neurobench.metrics.workload import SynapticOperations
    from neurobench.models import TorchModel

    model = TorchModel(network)
    model.register_hooks()
    with torch.no_grad():
        model(inputs)
        found = SynapticOperations()(model, None, (inputs, None))
    model.cleanup_hooks()
    return {name: float(number) for name, number in found.items()}


def main() -> None:
    found = {name: count(*pair) for name, pair in networks().items()}
    result = {"neurobench": version("neurobench"), "torch": torch.__version__, "networks": found}
    RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
