from __future__ import annotations

from spikeformer.i18n import use_locale
from spikeformer.metrics import metric_label


def test_known_metrics_have_words_in_each_language_and_others_their_name():
    with use_locale("de"):
        assert metric_label("firing_rate") == "Feuerrate"
        assert metric_label("top_k") == "top k"
