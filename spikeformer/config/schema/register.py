"""Where a schema is filed: group `schema/<group>`, so that `--help` shows only real choices."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hydra.core.config_store import ConfigStore

T = TypeVar("T")


def schema(group: str, name: str) -> Callable[[type[T]], type[T]]:
    """Register a dataclass as the schema `/schema/<group>: <name>` of a config file.

    A YAML file adopts it with `defaults: [/schema/<group>@_here_: <name>, _self_]`; from then on
    a misspelt key or a wrong type is refused, naming the key and the dataclass.
    """

    def decorate(node: type[T]) -> type[T]:
        ConfigStore.instance().store(group=f"schema/{group}", name=name, node=node)
        return node

    return decorate
