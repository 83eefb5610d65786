"""What a person reads who runs, configures or loads something is in that person's language."""

from __future__ import annotations

import errno
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from spikeformer.caching import CacheStats
from spikeformer.cli.doctor import doctor
from spikeformer.cli.privacy import privacy
from spikeformer.compliance import ComplianceAuditor, DataSubject, PrivacyManager
from spikeformer.cross_platform import choose, unmet
from spikeformer.error_handling import Interrupted
from spikeformer.files import replacing
from spikeformer.i18n import set_locale
from spikeformer.neurons import LifNeuron
from spikeformer.pipeline import Predict, Validate
from spikeformer.training.callbacks import HybridPhases
from spikeformer.validation import ComprehensiveValidator, ValidationLevel, stop_on_errors
from tests.cross_platform.trees import platform


def fill_the_disk(folder: Path) -> None:
    with replacing(folder / "file"):
        raise OSError(errno.ENOSPC, "x")


def train_without_a_spiking_phase(folder: Path) -> None:
    trainer: Any = SimpleNamespace(max_epochs=5)
    HybridPhases(9).setup(trainer, nn.Module(), "fit")  # type: ignore[arg-type]


def go_on_with_a_network_that_never_fires(folder: Path) -> None:
    network = nn.Sequential(nn.Linear(4, 8), LifNeuron(threshold=1e9))
    stop_on_errors(ComprehensiveValidator(ValidationLevel.STANDARD).validate_model(network))


def stop(folder: Path) -> None:
    raise Interrupted(signal.SIGTERM, "x")


MISTAKES = {
    lambda folder: PrivacyManager.open(folder): {"es": "no contiene registros", "ja": "同意の記録"},
    train_without_a_spiking_phase: {"fr": "la phase impulsionnelle", "ar": "للطور النبضي"},
    go_on_with_a_network_that_never_fires: {
        "fr": "1 défaut trouvé",
        "ar": "وُجد عيب واحد (1)",
        "ja": "どの入力にも同じ出力になります",
    },
    fill_the_disk: {"es": "Libere espacio", "zh": "请释放一些空间"},
    stop: {"de": "durch SIGTERM angehalten; x", "ar": "أوقفته الإشارة SIGTERM؛ x"},
}


@pytest.mark.parametrize(
    ("make", "locale", "said"),
    [(make, locale, text) for make, texts in MISTAKES.items() for locale, text in texts.items()],
)
def test_a_mistake_is_told_in_the_chosen_language(make, locale, said, tmp_path):
    set_locale(locale)
    with pytest.raises((Exception, KeyboardInterrupt)) as caught:
        make(tmp_path)
    assert said in str(caught.value)


def test_what_a_platform_lacks_and_chooses():
    info = platform(cores=1)
    set_locale("ja")
    assert unmet({"min_cores": 4}, info) == ["4 コアが必要ですが、1 しかありません。"]
    set_locale("es")
    assert unmet({"os": ["windows", "macos"]}, info)[0].startswith("Necesita os windows o macos")
    (choice,) = choose({"num_workers": 8}, info)
    assert str(choice).endswith("más compartirían lo que este proceso puede usar (1 núcleo)")


def test_an_audit(tmp_path):
    manager = PrivacyManager("Lab", "a@b.org", folder=tmp_path)
    for name in ("anna", "bob"):
        manager.register_data_subject(DataSubject(name))
    set_locale("ar")
    report = str(ComplianceAuditor(manager).assess_gdpr_compliance())
    assert "يُحتفظ ببيانات شخصين (2) دون موافقة سارية." in report
    assert "## لم يُقيَّم" in report
    assert "subject" not in report.replace("subjects", "")


def test_the_commands(tmp_path, capsys):
    set_locale("zh")
    assert doctor([]) == 0
    said = capsys.readouterr().out
    assert "GPU (trainer=gpu)" in said
    assert "torch.compile (compile=true)" in said
    lines = {line.split()[0] for line in said.splitlines() if line}
    assert {"系统", "处理器", "内存", "软件包"} <= lines
    set_locale("de")
    folder = ["--folder", str(tmp_path)]
    privacy([*folder, "init", "--organization", "Lab", "--dpo", "a@b.org"])
    privacy([*folder, "register", "anna"])
    privacy([*folder, "request", "access", "anna", "--later"])
    capsys.readouterr()
    privacy([*folder, "requests"])
    assert "noch " in capsys.readouterr().out


def test_stages_lines():
    found = {"level": "strict", "warning": 1, "info": 3}
    answered = {"accuracy": 0.5, "num_samples": 2000, "samples_per_second": 90.0, "batches": 4}
    answered |= {"latency_ms_p50": 1.25, "latency_ms_p99": 9.0}
    set_locale("fr")
    assert Validate().summary(found) == "niveau strict, 1 avertissement, 3 remarques"
    set_locale("es")
    assert Predict().summary(answered).startswith("exactitud 50,00% con 2.000 muestras, 90")
    assert str(CacheStats(2, 1, 1, 4.0)) == (
        "3 de 4 encontrados (75%), 2 en memoria y 1 en disco, 4,0 s ahorrados"
    )
