from __future__ import annotations

import pytest

from spikeformer.config import configured_locale
from spikeformer.error_handling import ConfigurationError


def test_configured_locale_is_one_with_texts():
    assert configured_locale("de") == "de"
    with pytest.raises(ConfigurationError, match=r"locale=tlh: .*tlh"):
        configured_locale("tlh")
