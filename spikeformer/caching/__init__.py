"""Results kept in memory and on disk under keys made of content."""

from spikeformer.caching.cache import Cache, TensorCache
from spikeformer.caching.decorator import cached
from spikeformer.caching.keys import content_key
from spikeformer.caching.model_state import ModelStateCache
from spikeformer.caching.packing import Packed, pack, unpack
from spikeformer.caching.shared import (
    Caches,
    configure_caches,
    get_computation_cache,
    get_tensor_cache,
)
from spikeformer.caching.stats import CacheStats

__all__ = [
    "Cache",
    "CacheStats",
    "Caches",
    "ModelStateCache",
    "Packed",
    "TensorCache",
    "cached",
    "configure_caches",
    "content_key",
    "get_computation_cache",
    "get_tensor_cache",
    "pack",
    "unpack",
]
