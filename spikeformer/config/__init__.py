"""Configuration: public dataclasses, the schemas of `conf/`, and the one `instantiate`."""

from spikeformer.config.description import Described, describe
from spikeformer.config.instantiate import check_targets, instantiate
from spikeformer.config.locale import configured_locale
from spikeformer.config.pretrained import (
    BUNDLED,
    NETWORK,
    RunRecord,
    bundled,
    pretrained_names,
    run_of_network,
)
from spikeformer.config.public import ConcurrencyConfig, FusionConfig, SpikingConfig
from spikeformer.config.records import (
    MASK,
    as_typed,
    comes_from_environment,
    inert,
    masked,
    read_config,
    recorded,
)
from spikeformer.config.targets import TRUSTED_PACKAGES, is_allowed, registered

__all__ = [
    "BUNDLED",
    "MASK",
    "NETWORK",
    "TRUSTED_PACKAGES",
    "ConcurrencyConfig",
    "Described",
    "FusionConfig",
    "RunRecord",
    "SpikingConfig",
    "as_typed",
    "bundled",
    "check_targets",
    "comes_from_environment",
    "configured_locale",
    "describe",
    "inert",
    "instantiate",
    "is_allowed",
    "masked",
    "pretrained_names",
    "read_config",
    "recorded",
    "registered",
    "run_of_network",
]
