"""Hydra takes sweepers from the namespace `hydra_plugins` alone; this puts ours there."""

from spikeformer.cli.search import OptunaSearch


class Search(OptunaSearch):
    """`spikeformer.cli.search.OptunaSearch` under the name that Hydra accepts."""
