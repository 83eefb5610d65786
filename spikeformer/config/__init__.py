"""Configuration: public dataclasses, the schemas of `conf/`, and the one `instantiate`."""

from spikeformer.config.instantiate import TRUSTED_PACKAGES, check_targets, instantiate
from spikeformer.config.locale import configured_locale
from spikeformer.config.public import ConcurrencyConfig, FusionConfig, SpikingConfig

__all__ = [
    "TRUSTED_PACKAGES",
    "ConcurrencyConfig",
    "FusionConfig",
    "SpikingConfig",
    "check_targets",
    "configured_locale",
    "instantiate",
]
