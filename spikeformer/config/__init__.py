"""Configuration: public dataclasses, the schemas of `conf/`, and the one `instantiate`."""

from spikeformer.config.instantiate import check_targets, instantiate
from spikeformer.config.locale import configured_locale
from spikeformer.config.public import ConcurrencyConfig, FusionConfig, SpikingConfig
from spikeformer.config.targets import TRUSTED_PACKAGES, is_allowed, registered

__all__ = [
    "TRUSTED_PACKAGES",
    "ConcurrencyConfig",
    "FusionConfig",
    "SpikingConfig",
    "check_targets",
    "configured_locale",
    "instantiate",
    "is_allowed",
    "registered",
]
