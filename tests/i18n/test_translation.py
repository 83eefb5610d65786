from __future__ import annotations

import logging
import pickle

import pytest

import spikeformer.i18n
from spikeformer.error_handling import (
    ArgumentError,
    SpikeformerError,
    check_positive,
    error_context,
)
from spikeformer.i18n import LocalizedError, TranslationManager, t, translations, use_locale


def test_the_examples_of_the_reference():
    with use_locale("es"):
        assert (
            t("error.model_not_found", model_name="MyModel") == "No se encontró el modelo: MyModel"
        )
        metrics = {"energy_per_sample_uj": 12.345678, "samples": 8}
        done = t("success.benchmark_complete", metrics=metrics)
    assert done.endswith(": energy_per_sample_uj=12,35, samples=8")
    with pytest.raises(LocalizedError, match="Model not found: MyModel"):
        raise LocalizedError("error.model_not_found", model_name="MyModel")


def test_a_missing_message_shows_its_key_and_is_logged_once(caplog):
    with caplog.at_level(logging.WARNING, "spikeformer.i18n"):
        assert [t("nowhere.at_all", x=1) for _ in range(3)] == ["nowhere.at_all"] * 3
        assert t("plain") == "plain"
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "Message 'nowhere.at_all'",
        "Message 'plain'",
    ]


def test_a_missing_value_shows_its_placeholder_and_is_logged_once(caplog):
    translations.add_custom_translations("en", {"lab.rate": "{rate:.2f} in {layer!r}"})
    with caplog.at_level(logging.WARNING, "spikeformer.i18n"):
        assert t("lab.rate", rate=0.5) == "0.50 in {layer}"
        assert t("lab.rate", layer="stem") == "{rate} in 'stem'"
        assert t("lab.rate", layer="stem") == "{rate} in 'stem'"
    assert len(caplog.records) == 2


def test_values_may_have_any_name_and_braces():
    translations.add_custom_translations("en", {"lab.all": "{key} {locale} {self} {{x}}"})
    values = {"key": "{k}", "locale": "{0}", "self": "%s"}
    assert t("lab.all", **values) == "{k} {0} %s {x}"


def test_a_message_cannot_reach_into_a_value():
    translations.add_custom_translations("en", {"lab.deep": "{x.real} {x[0]}"})
    assert t("lab.deep", x=1) == "{x.real} {x[0]}"


def test_formatted_numbers_have_the_locale_s_separators_and_plain_ones_stay_code():
    translations.add_custom_translations("en", {"lab.n": "{n:,.2f}, `x={n}`, {name:>3}"})
    assert t("lab.n", n=1234.5, name="a,b.c") == "1,234.50, `x=1234.5`, a,b.c"
    with use_locale("de"):
        assert t("lab.n", n=1234.5, name="a.b") == "1.234,50, `x=1234.5`, a.b"
    with use_locale("es-MX"):
        assert t("lab.n", n=1234.5, name="a.b") == "1,234.50, `x=1234.5`, a.b"


def test_plural_forms_follow_the_language():
    translations.add_custom_translations(
        "ar",
        {"lab.n": {c: f"{c} {{count}}" for c in ("zero", "one", "two", "few", "many", "other")}},
    )
    translations.add_custom_translations(
        "en", {"lab.n": {"one": "a spike", "other": "{count} spikes"}}
    )
    translations.add_custom_translations("ja", {"lab.n": {"other": "スパイク {count} 個"}})
    assert [t("lab.n", count=n) for n in (0, 1, 2)] == ["0 spikes", "a spike", "2 spikes"]
    with use_locale("ar"):
        shown = [t("lab.n", count=n).split()[0] for n in (0, 1, 2, 3, 10, 11, 99, 100, 103)]
    assert shown == ["zero", "one", "two", "few", "few", "many", "many", "other", "few"]
    with use_locale("ja"):
        assert t("lab.n", count=1) == "スパイク 1 個"
    with use_locale("de"):  # falls back to English, and to English's rules
        assert t("lab.n", count=1) == "a spike"


def test_a_manager_of_one_s_own_adds_and_replaces_and_keeps_to_itself():
    manager = TranslationManager()
    manager.add_custom_translations("es", {"error.model_not_found": "¿{model_name}?"})
    manager.add_custom_translations("it", {"error.model_not_found": "{model_name} non c'è"})
    assert manager.translate("error.model_not_found", locale="es", model_name="M") == "¿M?"
    assert manager.translate("error.model_not_found", "it-CH", model_name="M") == "M non c'è"
    assert manager.translate("error.model_not_found", "fr", model_name="M").startswith("Modèle")
    assert "it" in manager.get_available_locales()
    with use_locale("it"):
        assert t("error.model_not_found", model_name="M") == "Model not found: M"
        assert manager.knows("error.model_not_found")
    assert not manager.knows("lab.nothing")


def test_bad_translations_are_refused():
    with pytest.raises(ArgumentError, match="language tag"):
        translations.add_custom_translations("klingon", {"a.b": "c"})
    with pytest.raises(ArgumentError, match=r"a\.b.*placeholders"):
        translations.add_custom_translations("es", {"a.b": "{c"})


def test_a_localized_error_reads_in_the_reader_s_language_also_after_a_trip():
    error = pickle.loads(pickle.dumps(LocalizedError("error.model_not_found", model_name="M")))
    assert isinstance(error, SpikeformerError)
    assert (error.key, error.values) == ("error.model_not_found", {"model_name": "M"})
    assert str(error) == "Model not found: M"
    with use_locale("fr"):
        assert str(error) == "Modèle introuvable : M"


def test_an_argument_error_is_english_in_every_locale_and_keeps_its_notes_on_a_trip():
    with use_locale("es"), pytest.raises(ArgumentError) as caught, error_context("lif", "step"):
        check_positive("tau", -1)
    error = pickle.loads(pickle.dumps(caught.value))
    assert str(error) == "Expected `tau` to be a finite number above 0, but got -1."
    assert (error.argument, error.value) == ("tau", -1)
    assert error.__notes__ == ["while running lif.step"]


def test_the_package_has_no_other_lazy_names():
    with pytest.raises(AttributeError, match="no attribute 'tt'"):
        _ = spikeformer.i18n.tt
