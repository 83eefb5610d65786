"""Consents are asked for before data are read, and while a run goes on."""

from __future__ import annotations

import lightning as L
import pytest

from spikeformer.cli import compose as composed
from spikeformer.data import DigitsDataModule, TextDataModule
from spikeformer.error_handling import ConfigurationError, ConsentsChangedError
from spikeformer.pipeline.services import Services
from spikeformer.runs import PrivacyResults, RunFolder
from spikeformer.training.callbacks import ConsentWatch
from tests.compliance.records import agreed, make
from tests.pipeline.test_services import PLAIN


@pytest.fixture
def records(tmp_path):
    manager = make(tmp_path / "records")
    for name in ("p0", "p1"):
        agreed(manager, name)
    return manager


@pytest.fixture
def services(tmp_path, records):
    gdpr = ("compliance=gdpr", f"compliance.folder={records.folder}")
    return lambda *more: Services(composed(*PLAIN, *gdpr, *more), tmp_path / "run")


@pytest.fixture
def texts(tmp_path):
    lines = ["text,label,speaker"]
    lines += [f"word{n} and more,{n % 2},p{n % 4 // 2}" for n in range(40)]
    (tmp_path / "texts.csv").write_text("\n".join(lines))
    return TextDataModule(
        path=str(tmp_path / "texts.csv"), num_classes=2, cache_dir=str(tmp_path / "cache")
    )


def test_data_that_name_nobody_are_refused(services):
    with pytest.raises(ConfigurationError, match="DigitsDataModule"):
        services().before_data(DigitsDataModule())


def test_consents_are_recorded_and_watched(services, texts, tmp_path):
    made = services()
    made.before_data(texts)
    texts.setup("fit")
    assert isinstance(made.around([], texts)[-1], ConsentWatch)
    made.before_stages()
    used = PrivacyResults.load(RunFolder(tmp_path / "run"))
    assert used is not None
    assert used.used.subjects == 2


def test_a_run_begun_with_data_of_others_is_refused(services, texts, records):
    made = services()
    made.before_data(texts)
    texts.setup("fit")
    made.before_stages()
    made.before_stages()  # as when it is resumed
    records.withdraw_consent("p1")
    later, again = (
        services(),
        TextDataModule(path=texts.path, num_classes=2, cache_dir=texts.cache_dir),
    )
    later.before_data(again)
    again.setup("fit")
    with pytest.raises(ConsentsChangedError, match="Start a new run"):
        later.before_stages()


def test_before_stage_stops_at_a_withdrawal(services, texts, records):
    made, trainer = services(), L.Trainer(accelerator="cpu", logger=False, barebones=True)
    made.before_data(texts)
    texts.setup("fit")
    made.before_stage(texts, trainer)
    records.withdraw_consent("p0")
    with pytest.raises(ConsentsChangedError, match="the run stops"):
        made.before_stage(texts, trainer)
