"""Exchange networks with other libraries through NIR files, and compare every spike.

    make bench-baselines
    python scripts/bench/nir_files.py

Each library writes a network of two layers in its own environment (`.bench/NAME`), which is read
and run here; and a network and a spiking transformer written here are read and run there. Both run
on the same spikes. Writes `docs/benchmarks/nir.json` and `nir.md`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

REPOSITORY = Path(__file__).resolve().parents[2]
RESULT = REPOSITORY / "docs" / "benchmarks" / "nir.json"
INPUTS, HIDDEN, OUTPUTS, T, BATCH = 20, 32, 10, 16, 16
READ_WITH = {
    "norse": {"dt": 1e-6},
    "snntorch": {"dt": 1e-4},
    "sinabs": {"dt": 1.0, "method": "exact"},
}
"""How files of each library's are read here: it writes time constants in units of its own."""
WRITTEN_WITH = {"norse": 1e-3, "snntorch": 1e-4, "sinabs": 1.0}
"""Steps in seconds that each library takes with files from elsewhere."""
REMARKS = {
    "norse": "writes time constants in steps of 1 ms: read with `dt=1e-6`; holds them in float32, "
    "where a gate's count that equals its threshold may fall to either side",
    "snntorch": "steps of 0.1 ms; writes a file only if parameters have a value for each neuron",
    "sinabs": "steps of 1, membranes that decay by exp(-dt / tau); does not read files of `nir` "
    "1.0.5 and later, and makes neurons that fire several times a step and reset by subtraction",
}


def spikes() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(BATCH, T, INPUTS, generator=generator) < 0.4).float()


def write_norse(path: Path) -> Tensor:
    import nir
    import norse.torch as norse

    def layer(size: int) -> nn.Module:
        rate, zeros = torch.full((size,), 400.0), torch.zeros(size)
        parameters = norse.LIFBoxParameters(rate, zeros, torch.full((size,), 0.2), zeros)
        return norse.LIFBoxCell(parameters)

    net = norse.SequentialState(
        nn.Linear(INPUTS, HIDDEN), layer(HIDDEN), nn.Linear(HIDDEN, OUTPUTS), layer(OUTPUTS)
    )
    nir.write(path, norse.to_nir(net, torch.ones(1, INPUTS)))
    return _stepwise(net)


def write_snntorch(path: Path) -> Tensor:
    import nir
    import snntorch
    from snntorch.export_nir import export_to_nir

    def layer(size: int) -> nn.Module:
        beta, threshold = torch.full((size,), 0.9), torch.full((size,), 0.5)
        return snntorch.Leaky(beta, threshold, reset_mechanism="zero", init_hidden=True)

    net = nn.Sequential(
        nn.Linear(INPUTS, HIDDEN), layer(HIDDEN), nn.Linear(HIDDEN, OUTPUTS), layer(OUTPUTS)
    )
    found = torch.stack([net(frame) for frame in spikes().unbind(1)], dim=1)
    nir.write(path, export_to_nir(net, torch.ones(INPUTS)))
    return found


def write_sinabs(path: Path) -> Tensor:
    import nir
    import sinabs
    import sinabs.layers as layers
    from sinabs.nir import to_nir

    hard = {
        "spike_fn": sinabs.activation.SingleSpike,
        "reset_fn": sinabs.activation.MembraneReset(0.0),
    }
    net = nn.Sequential(
        nn.Linear(INPUTS, HIDDEN),
        layers.IAF(spike_threshold=torch.tensor(0.5), **hard),
        nn.Linear(HIDDEN, OUTPUTS),
        layers.LIF(torch.tensor(5.0), spike_threshold=torch.tensor(0.1), norm_input=True, **hard),
    )
    found = net(spikes())
    nir.write(path, to_nir(net, torch.ones(1, T, INPUTS)))
    return found


def read_norse(path: Path, frames: Tensor) -> Tensor:
    import nir
    import nirtorch
    from norse.torch.utils.import_nir import _import_norse_module as made

    # nirtorch 2.6 loses the bias of an affine node, so Norse makes that too.
    net = nirtorch.nir_to_torch(nir.read(path), {nir.LIF: made, nir.Affine: made})
    return _stepwise(net, frames)


def read_snntorch(path: Path, frames: Tensor) -> Tensor:
    import nir
    from snntorch.import_nir import import_from_nir

    net = import_from_nir(nir.read(path))
    return torch.stack([_first(net(frame)) for frame in frames.unbind(1)], dim=1)


def read_sinabs(path: Path, frames: Tensor) -> Tensor:
    import nir
    from sinabs.nir import from_nir

    net = from_nir(nir.read(path), batch_size=len(frames))
    return _first(net(frames.flatten(0, 1))).unflatten(0, (-1, T))


def _first(found: Any) -> Tensor:
    """Return the output that may come with states."""
    return found[0] if isinstance(found, tuple) else found


def _stepwise(net: Callable[..., Any], frames: Tensor | None = None) -> Tensor:
    outputs, state = [], None
    for frame in (spikes() if frames is None else frames).unbind(1):
        output, state = net(frame, *([] if state is None else [state]))
        outputs.append(output)
    return torch.stack(outputs, dim=1)


def work(library: str, folder: Path) -> None:
    """In a library's environment: write a file and read those of ours."""
    torch.manual_seed(0)
    found: dict[str, Any] = {}
    with torch.no_grad():
        found["written"] = globals()[f"write_{library}"](folder / "theirs.nir").numpy()
        for name in ("mlp", "transformer"):
            frames = torch.from_numpy(np.load(folder / f"{name}.npy"))
            try:
                read = globals()[f"read_{library}"](folder / f"{name}.nir", frames)
                found[name] = read.numpy()
            except Exception as error:
                print(json.dumps({name: f"{type(error).__name__}: {error}"[:200]}))
    np.savez(folder / "found.npz", **found)


def ours(folder: Path, dt: float) -> dict[str, Tensor]:
    """Write a network and a spiking transformer; return their outputs averaged over time."""
    from spikeformer.encoding import EventCoding
    from spikeformer.hardware import export_nir, lower
    from spikeformer.models import ClassificationHead, SpikingNetwork, SpikingViT
    from spikeformer.neurons import LifNeuron

    torch.manual_seed(0)
    hard = partial(LifNeuron, reset="zero", tau_mem=2.0)
    mlp = nn.Sequential(
        EventCoding(T),
        nn.Linear(INPUTS, HIDDEN),
        hard(threshold=0.5),
        nn.Linear(HIDDEN, OUTPUTS),
        hard(threshold=0.4),
    )
    vit = SpikingViT(
        1, 6, d_model=8, nhead=2, num_layers=1, timesteps=T, neuron=hard, stem_strides=(1, 2)
    )
    transformer = SpikingNetwork(vit, ClassificationHead(8, OUTPUTS))
    images = torch.rand(BATCH, 1, 6, 6)
    for _ in range(20):
        transformer(images)  # settle the batch norms, or hardly anything fires
    samples = {
        "mlp": (mlp, spikes(), spikes()),
        "transformer": (transformer, images, images.flatten(1)[:, None].expand(-1, T, -1)),
    }
    outputs = {}
    for name, (net, inputs, frames) in samples.items():
        export_nir(lower(net, inputs.shape[1:]).graph, folder / f"{name}.nir", dt=dt)
        np.save(folder / f"{name}.npy", frames.numpy())
        outputs[name] = net.eval()(inputs).mean(1)
    return outputs


def exchange(library: str) -> dict[str, Any]:
    """Exchange files with one library."""
    from spikeformer.hardware import import_nir

    python = REPOSITORY / ".bench" / library / "bin" / "python"
    with tempfile.TemporaryDirectory() as name, torch.no_grad():
        folder = Path(name)
        expected = ours(folder, WRITTEN_WITH[library])
        command = [str(python), __file__, "--worker", library, "--folder", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return {"error": done.stderr.strip().splitlines()[-1]}
        theirs = dict(np.load(folder / "found.npz"))
        errors = [json.loads(x) for x in done.stdout.splitlines() if x.startswith('{"')]
        read = import_nir(folder / "theirs.nir", **READ_WITH[library])(spikes()).numpy()
    found = {
        "spikes": int(theirs["written"].sum()),
        "compared": read.size,
        "mismatches": int((read != theirs["written"]).sum()),
    }
    for net, outputs in expected.items():
        if net in theirs:
            there = theirs[net].mean(axis=1)
            found[net] = float(np.abs(there - outputs.numpy()).max())
    for error in errors:
        found |= error
    return found


HEAD = """# NIR files

Networks of two layers that each library wrote, read and run here: spikes that differ. And a network
of two layers and a spiking transformer (QK-token attention) that were written here, run there in
float32: the largest difference of an output averaged over time. Made by
`python scripts/bench/nir_files.py`.

| library | read here: mismatches | two layers, there | transformer, there | remarks |
|---|---|---|---|---|
"""


def page(results: dict[str, Any]) -> str:
    """Return the results as a page of the documentation."""
    rows = []
    for library, found in results.items():
        cells = [library, found.get("error", "")]
        if "error" not in found:
            numbers = (found[key] for key in ("mismatches", "compared", "spikes"))
            cells[1] = "{} of {:,}; {} spikes".format(*numbers)
        for net in ("mlp", "transformer"):
            value = found.get(net)
            cells.append(f"{value:.1g}" if isinstance(value, float) else "not read")
        rows.append(f"| {' | '.join([*cells, REMARKS[library]])} |\n")
    return HEAD + "".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", choices=READ_WITH, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker, arguments.folder)
        return
    results = {library: exchange(library) for library in READ_WITH}
    RESULT.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    RESULT.with_suffix(".md").write_text(page(results), encoding="utf-8")
    print(page(results))


if __name__ == "__main__":
    main()
