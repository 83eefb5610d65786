"""Configuration: public dataclasses, the schemas of `conf/`, and the one `instantiate`."""

from spikeformer.config.instantiate import check_targets, instantiate
from spikeformer.config.locale import configured_locale
from spikeformer.config.public import ConcurrencyConfig, FusionConfig, SpikingConfig
from spikeformer.config.records import (
    MASK,
    as_typed,
    comes_from_environment,
    masked,
    read_config,
    recorded,
)
from spikeformer.config.targets import TRUSTED_PACKAGES, is_allowed, registered

__all__ = [
    "MASK",
    "TRUSTED_PACKAGES",
    "ConcurrencyConfig",
    "FusionConfig",
    "SpikingConfig",
    "as_typed",
    "check_targets",
    "comes_from_environment",
    "configured_locale",
    "instantiate",
    "is_allowed",
    "masked",
    "read_config",
    "recorded",
    "registered",
]
