from __future__ import annotations

from spikeformer.conversion.tracing.plan import Site, describe


def test_site_s_thresholds_are_those_of_the_tensor_it_shares():
    queries = Site("attention:query", "attention", "query")
    keys = Site("attention:key", "attention", "key", same_as="attention:query")
    assert queries.source == keys.source == "attention:query"


def test_describe_names_path_and_type():
    types = {"": "ViTModel", "layers.0": "Linear"}
    assert describe("layers.0", types) == "`layers.0` (Linear)"
    assert "unknown" in describe("elsewhere", types)
    assert "ViTModel" in describe("", types)
