"""`load_run` opens every kind of run; a run folder may be a stranger's."""

from __future__ import annotations

import math
import pickle
import shutil

import pytest
import torch
import yaml

from spikeformer.cli import compose
from spikeformer.config import recorded
from spikeformer.conversion import SpikeformerConverter, save_converted
from spikeformer.error_handling import ConfigurationError, ConversionError
from spikeformer.runs import (
    DataResults,
    FitResults,
    LoadedSweep,
    Manifest,
    PredictionResults,
    RunFolder,
    StageRecord,
    TestResults,
    build_network,
    load_run,
)
from tests.commands import SMALL
from tests.conversion.networks import vit
from tests.reporting.synthetic import write_energy, write_hardware


@pytest.fixture
def folder(tmp_path):
    """What a run of a small network leaves, as far as `load_run` needs it."""
    config, folder = compose(*SMALL), tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(recorded(config)))
    state = {f"net.{key}": value for key, value in build_network(config).state_dict().items()}
    torch.save({"state_dict": state}, folder / "checkpoints" / "last.ckpt")
    return folder


def change(folder, group, value):
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config[group] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def test_load_run_reads_a_plain_folder(folder):
    assert load_run(folder).config.timesteps == 2


@pytest.mark.parametrize(
    "node",
    [
        {"_target_": "torch.load", "f": "evil.pt", "weights_only": False},
        {"_target_": "torch.hub.load", "repo_or_dir": "evil", "model": "x", "source": "local"},
        {"_target_": "torch.utils.collect_env.run", "command": "touch evil"},
        {"_target_": "stranger.Model"},
        {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "torch.load", "f": "evil.pt"}]},
    ],
)
def test_load_run_runs_nothing_of_a_stranger(folder, node, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    (folder / "evil.pt").write_bytes(pickle.dumps(Evil()))
    (folder / "hubconf.py").write_text("open('evil', 'w')\ndef x(): pass")
    (folder / "stranger.py").write_text("open('evil', 'w')\nModel = dict")
    change(folder, "model", node)
    change(folder, "trusted_packages", ["stranger", "torch"])
    with pytest.raises(ConfigurationError, match=r"may not create|not trusted"):
        load_run(folder)
    assert not (folder / "evil").exists()


class Evil:
    def __reduce__(self):
        return open, ("evil", "w")


def test_load_run_looks_up_nothing_in_the_environment(folder, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "s3cr3t")
    change(folder, "name", "${oc.env:MY_TOKEN}")
    assert load_run(folder).config.name == "${oc.env:MY_TOKEN}"


@pytest.mark.parametrize("state", [[], {}, {"state_dict": []}, {"state_dict": {"net.a": {}}}, 3])
def test_load_run_refuses_states_that_are_none(folder, state):
    torch.save(state, folder / "checkpoints" / "last.ckpt")
    with pytest.raises(ConfigurationError, match=r"last\.ckpt"):
        load_run(folder)


@pytest.mark.parametrize("content", [b"", b"- 1", b"\0\0", b"a: {b: 1}", b"seed: x"])
def test_load_run_refuses_configs_that_are_none(folder, content):
    (folder / "config.yaml").write_bytes(content)
    with pytest.raises(ConfigurationError):
        load_run(folder)


def finish(folder, *results):
    """Leave what stages found in a run folder, as they do."""
    files = RunFolder(folder)
    manifest = Manifest(folder, folder.name)
    for stage, result in results:
        result.save(files)
        manifest.stages[stage] = StageRecord("done", result=result.numbers())
    manifest.save()
    return folder


def fitted(accuracy, loss=0.5):
    return "fit", FitResults(2, 4, 1.0, 100, {"val/accuracy": accuracy, "val/loss": loss})


def predicted(accuracy=0.75):
    return "predict", PredictionResults(accuracy, 4, 100.0, 1.0, 2.0, 1, 1)


def evaluated(accuracy=0.5, **more):
    return "test", TestResults({"accuracy": accuracy, **more}, num_samples=4)


def same(one, other):
    return all(torch.equal(x, other.state_dict()[key]) for key, x in one.state_dict().items())


def test_load_run_opens_a_run_that_trained(folder):
    finish(folder, fitted(0.75), evaluated(auroc=float("nan")))
    (folder / "metrics.csv").write_text("epoch,train/loss,val/loss\n0,2.0,\n1,1.0,3.0\n")
    run = load_run(folder)
    assert not run.network.training
    assert [epoch["train/loss"] for epoch in run.history] == [2.0, 1.0]
    assert ["val/loss" in epoch for epoch in run.history] == [False, True]
    assert run.results.fit.metrics["val/accuracy"] == 0.75
    assert run.results.test.metrics["accuracy"] == 0.5
    assert list(run.manifest.stages) == ["fit", "test"]


def test_load_run_reads_a_run_with_a_metric_that_is_null(folder):
    finish(folder, fitted(0.75), evaluated(auroc=0.5))
    path = folder / "results" / "test.json"
    path.write_text(path.read_text().replace('"auroc": 0.5', '"auroc": null'))
    assert math.isnan(load_run(folder).results.test.metrics["auroc"])


def test_other_data_of_a_run_are_prepared_as_its_own(folder, tmp_path):
    rows = "".join(f"row {n},{'ba'[n % 2]}\n" for n in range(40))
    (tmp_path / "new.csv").write_text(f"text,label\n{rows}")
    target = "spikeformer.data.TextDataModule"
    change(folder, "data", {"_target_": target, "path": "gone.csv", "vocab_size": 300})
    DataResults(["b", "a"]).save(RunFolder(folder))
    data = load_run(folder).data(path=str(tmp_path / "new.csv"), cache_dir=str(tmp_path))
    data.setup()
    assert data.class_names == ["b", "a"]
    with pytest.raises(ConfigurationError, match="colour"):
        load_run(folder).data(colour="red")


def test_load_run_chooses_weights(folder):
    checkpoints = RunFolder(folder).checkpoint("last").parent
    state = torch.load(checkpoints / "last.ckpt", weights_only=True)["state_dict"]
    other = {"state_dict": {key: torch.zeros_like(x) for key, x in state.items()}}
    with pytest.raises(ConfigurationError, match=r"run holds no checkpoints/best\.ckpt"):
        load_run(folder, "best")
    torch.save(other, checkpoints / "best.ckpt")
    assert not any(x.any() for x in load_run(folder, "best").network.state_dict().values())
    assert any(x.any() for x in load_run(folder).network.state_dict().values())
    with pytest.raises(ConfigurationError, match=r"finetuned\.ckpt"):
        load_run(folder, "finetuned")
    (folder / "hardware").mkdir()
    (checkpoints / "best.ckpt").rename(folder / "hardware" / "finetuned.ckpt")
    tuned = load_run(folder, "finetuned").network
    assert not any(x.any() for x in tuned.state_dict().values())
    with pytest.raises(ValueError, match="weights"):
        load_run(folder, "first")


@pytest.mark.parametrize("kind", ["evaluate", "predict", "profile", "deploy"])
def test_load_run_opens_a_run_that_was_given_a_checkpoint(folder, kind):
    trained = load_run(folder).network
    given = folder.with_name("given.ckpt")
    RunFolder(folder).checkpoint("last").rename(given)
    change(folder, "checkpoint", str(given))
    if kind in ("profile", "deploy"):
        {"profile": write_energy, "deploy": write_hardware}[kind](folder)
    finish(folder, *{"evaluate": [evaluated()], "predict": [predicted()]}.get(kind, []))
    run = load_run(folder)
    assert same(run.network, trained)
    assert len(run.history) == 0
    found = {
        "evaluate": run.results.test,
        "predict": run.results.predictions,
        "profile": run.results.energy,
        "deploy": run.results.hardware,
    }
    assert [name for name, result in found.items() if result is not None] == [kind]


def test_load_run_does_not_take_the_given_checkpoint_of_a_run_that_trained(folder):
    last = RunFolder(folder).checkpoint("last")
    given = folder.with_name("given.ckpt")
    given.write_bytes(last.read_bytes())
    change(folder, "checkpoint", str(given))
    with pytest.raises(ConfigurationError, match=r"best\.ckpt"):
        load_run(folder, "best")


def test_load_run_says_that_the_given_checkpoint_is_gone(folder):
    RunFolder(folder).checkpoint("last").unlink()
    with pytest.raises(ConfigurationError, match=r"holds no checkpoints/last\.ckpt"):
        load_run(folder)
    change(folder, "checkpoint", "gone.ckpt")
    with pytest.raises(ConfigurationError, match=r"gone\.ckpt: there is no such file"):
        load_run(folder)


def test_load_run_opens_a_conversion(folder):
    spiking, images = SpikeformerConverter(timesteps=2).convert(vit()), torch.rand(1, 3, 16, 16)
    manifest = Manifest(folder, "run", stages={"convert": StageRecord("done")})
    manifest.save()
    with pytest.raises(ConversionError, match=r"converted.*conversion\.json"):
        load_run(folder)
    save_converted(spiking, folder / "converted")
    model = load_run(folder).network
    with torch.no_grad():
        expected, found = spiking(images), model(images)
    assert torch.equal(found.last_hidden_state, expected.last_hidden_state)
    (folder / "converted" / "model.safetensors").unlink()
    with pytest.raises(ConversionError, match=r"model\.safetensors"):
        load_run(folder)


@pytest.fixture
def sweep(folder):
    """A function that makes a sweep's folder of runs with these results."""

    def make(*runs, objective=()):
        root = folder.with_name("sweep")
        for number, results in enumerate(runs):
            child = root / str(number)
            shutil.copytree(folder, child)
            change(child, "objective", list(objective))
            finish(child, *results)
        (root / "sweep.yaml").write_text("- seed=1,2")
        return root

    return make


@pytest.mark.parametrize(
    ("runs", "objective", "best", "chosen"),
    [
        ([[fitted(0.5)], [fitted(0.9)], [fitted(0.7)]], [], "1", "maximize fit.val/accuracy"),
        (
            [[fitted(0.5, 2.0)], [fitted(0.9, 3.0)], [fitted(0.7, math.nan)]],
            ["minimize fit.val/loss", "maximize fit.val/accuracy"],
            "0",
            "minimize fit.val/loss",
        ),
        ([[evaluated(0.5)], [], [evaluated(0.75)]], [], "2", "maximize test.accuracy"),
    ],
)
def test_load_run_opens_a_sweep_at_its_best_run(sweep, runs, objective, best, chosen):
    root = sweep(*runs, objective=objective)
    (root / "broken").mkdir()
    (root / "broken" / "manifest.json").write_text("{half")
    found = load_run(root)
    assert isinstance(found, LoadedSweep)
    assert found.folder == root / best
    assert found.objective == chosen
    assert same(found.network, load_run(root / best).network)
    assert sorted(run.path for run in found.runs) == ["0", "1", "2", "broken"]


def test_load_run_names_a_sweep_s_runs_where_none_is_best(sweep, folder):
    root = sweep([fitted(0.5)], [], objective=["maximize fit.val/f1"])
    with pytest.raises(ConfigurationError, match=r"runs \(0, 1\).*maximize fit\.val/f1"):
        load_run(root)
    with pytest.raises(ConfigurationError, match=r"is no run folder: it holds no config\.yaml"):
        load_run(folder.with_name("nothing"))


def test_load_run_says_how_a_network_that_comes_with_the_package_is_loaded():
    with pytest.raises(ConfigurationError, match=r'from_pretrained\("digits"\)'):
        load_run("digits")
