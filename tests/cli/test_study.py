"""A search over functions instead of trainings."""

from __future__ import annotations

import itertools

import pytest
import yaml
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from spikeformer.error_handling import ConfigurationError

optuna = pytest.importorskip("optuna", reason="the extra sweeps is not installed")
study_module = pytest.importorskip("spikeformer.cli.study")
PRUNED, Search = study_module.PRUNED, study_module.Search
make_part, open_storage, score = (
    study_module.make_part,
    study_module.open_storage,
    study_module.score,
)

TPE = {"_target_": "optuna.samplers.TPESampler", "seed": 0}
SETTINGS = {
    "sampler": TPE,
    "pruner": {"_target_": "optuna.pruners.NopPruner"},
    "params": {},
    "n_trials": 6,
    "n_jobs": 1,
    "max_failure_rate": 0.0,
    "storage": None,
    "study_name": "search",
}


class Killed(BaseException):
    """The process is gone."""


class Calls(Launcher):
    """Runs a function of the overrides, and remembers them by the number of the job."""

    def __init__(self, function, kill_at=None):
        self.function, self.kill_at, self.jobs = function, kill_at, {}

    def setup(self, **_):
        pass

    def launch(self, job_overrides, initial_job_idx):
        returns = []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            self.jobs[number] = overrides
            if number == self.kill_at:
                raise Killed
            done = JobReturn()
            try:
                values = dict(item.split("=") for item in overrides)
                done.return_value, done.status = self.function(values), JobStatus.COMPLETED
            except ValueError as error:
                done.return_value, done.status = error, JobStatus.FAILED
            returns.append(done)
        return returns


def parabola(values):
    return {"fit": {"loss": (float(values["x"]) - 3) ** 2, "size": float(values["x"])}}


def search(folder, launcher, objective=None, **settings):
    objective = objective or {"fit.loss": "minimize"}
    Search(objective, launcher, folder, SETTINGS | settings).run(
        ["x=interval(0.0, 10.0)", "seed=1"]
    )
    return study(folder)


def study(folder):
    return optuna.load_study(study_name="search", storage=f"sqlite:///{folder / 'study.db'}")


def test_a_search_finds_what_it_looks_for(tmp_path):
    launcher = Calls(parabola)
    found = search(tmp_path, launcher, n_trials=25)
    assert len(found.trials) == len(launcher.jobs) == 25
    assert found.best_params["x"] == pytest.approx(3, abs=0.5)
    assert all("seed=1" in overrides for overrides in launcher.jobs.values())
    best = yaml.safe_load((tmp_path / "optimization_results.yaml").read_text())
    assert best == {
        "name": "optuna",
        "best_params": found.best_params,
        "best_value": found.best_value,
    }


def test_several_objectives_give_a_front(tmp_path):
    objective = {"fit.loss": "minimize", "fit.size": "minimize"}
    nsgaii = {"_target_": "optuna.samplers.NSGAIISampler", "population_size": 4, "seed": 0}
    found = search(tmp_path, Calls(parabola), objective, sampler=nsgaii, n_trials=12)
    best = yaml.safe_load((tmp_path / "optimization_results.yaml").read_text())["solutions"]
    everything = [trial.values for trial in found.trials]
    front = [
        v
        for v in everything
        if not any(all(a <= b for a, b in zip(w, v, strict=True)) and w != v for w in everything)
    ]
    assert sorted(solution["values"] for solution in best) == sorted(front)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_killed_search_repeats_no_trial(tmp_path, n_jobs):
    first = Calls(parabola, kill_at=3)
    with pytest.raises(Killed):
        search(tmp_path, first, n_jobs=n_jobs)
    before = {trial.number: trial.value for trial in study(tmp_path).trials if trial.value}
    second = Calls(parabola)
    found = search(tmp_path, second, n_jobs=n_jobs)
    assert [trial.state.name for trial in found.trials] == ["COMPLETE"] * 6
    assert {number: found.trials[number].value for number in before} == before
    # What was cut short runs again in its own folder with its own values, and the rest is new.
    again = set(first.jobs) & set(second.jobs)
    assert again == {3} if n_jobs == 1 else again == {2, 3}
    for job in again:
        assert second.jobs[job] == first.jobs[job] or job not in first.jobs
    points = [trial.params["x"] for trial in found.trials]
    assert len(set(points)) == 6
    third = Calls(parabola)
    search(tmp_path, third, n_jobs=n_jobs)
    assert third.jobs == {}


def test_a_storages_word_is_not_taken_for_overrides(tmp_path):
    with pytest.raises(Killed):
        search(tmp_path, Calls(parabola, kill_at=1))
    foreign = optuna.create_study(
        storage=f"sqlite:///{tmp_path / 'study.db'}", study_name="search", load_if_exists=True
    )
    trial = foreign.ask()
    trial.suggest_categorical("trusted_packages", ["[evil]"])
    for key, value in study(tmp_path).trials[0].user_attrs.items():
        trial.set_user_attr(key, 5 if isinstance(value, int) else value)
    trial.set_user_attr("spikeformer/overrides", ["hydra.callbacks.x._target_=os.system"])
    launcher = Calls(parabola)
    found = search(tmp_path, launcher)
    assert found.trials[trial.number].state.name == "FAIL"
    assert not any("evil" in o or "hydra" in o for o in itertools.chain(*launcher.jobs.values()))


def test_a_grid_has_an_end(tmp_path):
    launcher = Calls(parabola)
    settings = {**SETTINGS, "sampler": {"_target_": "optuna.samplers.GridSampler", "seed": 0}}
    run = Search({"fit.loss": "minimize"}, launcher, tmp_path, settings | {"n_trials": 99}).run
    run(["x=choice(1, 2)", "seed=range(0, 3)"])
    points = {tuple(sorted(overrides)) for overrides in launcher.jobs.values()}
    assert points == {(f"seed={s}", f"x={x}") for x in (1, 2) for s in range(3)}
    assert len(launcher.jobs) == 6
    run(["x=choice(1, 2)", "seed=range(0, 3)"])
    assert len(launcher.jobs) == 6


def test_failures_end_a_search_unless_they_may_happen(tmp_path):
    def fails_below_five(values):
        if float(values["x"]) < 5:
            raise ValueError("diverged")
        return parabola(values)

    with pytest.raises(ValueError, match="diverged"):
        search(tmp_path / "a", Calls(fails_below_five), n_trials=30)
    found = search(tmp_path / "b", Calls(fails_below_five), n_trials=10, max_failure_rate=1.0)
    assert {trial.state.name for trial in found.trials} == {"COMPLETE", "FAIL"}
    with pytest.raises(ConfigurationError, match="No trial"):
        search(tmp_path / "c", Calls(lambda _: {}["x"] if 0 else int("x")), max_failure_rate=1.0)


def test_not_a_number_is_a_failure(tmp_path):
    nan = {"fit": {"loss": float("nan")}}
    with pytest.raises(ConfigurationError, match="No trial"):
        search(tmp_path, Calls(lambda _: nan), max_failure_rate=1.0)
    assert {trial.state.name for trial in study(tmp_path).trials} == {"FAIL"}


def test_a_trial_given_up_counts_as_pruned(tmp_path):
    def gives_up(values):
        if float(values["x"]) > 5:
            (running,) = [t for t in study(tmp_path).trials if t.state.name == "RUNNING"]
            optuna.trial.Trial(study(tmp_path), running._trial_id).set_user_attr(PRUNED, True)
        return parabola(values)

    found = search(tmp_path, Calls(gives_up), n_trials=12)
    for trial in found.trials:
        assert (trial.state.name == "PRUNED") == (trial.params["x"] > 5)
    assert found.best_params["x"] <= 5


def test_a_journal_keeps_trials_too(tmp_path):
    journal = str(tmp_path / "trials.journal")
    for n_trials in (2, 4):
        Search(
            {"fit.loss": "minimize"},
            Calls(parabola),
            tmp_path / "s",
            SETTINGS | {"storage": journal, "n_trials": n_trials},
        ).run(["x=interval(0.0, 1.0)"])
    found = optuna.load_study(study_name="search", storage=open_storage(journal, tmp_path))
    assert len(found.trials) == 4
    assert not (tmp_path / "s" / "study.db").exists()


@pytest.mark.parametrize(
    "target", ["os.system", "optuna.samplers.BaseSampler.x", "optuna.pruners.NopPruner", "TPE"]
)
def test_make_part_makes_samplers_alone(target):
    with pytest.raises(ConfigurationError, match="none of the classes"):
        make_part({"_target_": target}, optuna.samplers.BaseSampler)
    with pytest.raises(ConfigurationError, match=r"TPESampler: .*unexpected"):
        make_part({**TPE, "sed": 1}, optuna.samplers.BaseSampler)


def test_an_objective_that_no_run_has():
    results = {"fit": {"val/accuracy": 0.5, "done": True}, "report": {"path": "x"}}
    assert score(results, "fit.val/accuracy") == 0.5
    for wrong in ("fit.val/acc", "test.accuracy", "fit.done", "report.path", "fit"):
        with pytest.raises(ConfigurationError, match=r"one of fit\.val/accuracy"):
            score(results, wrong)
