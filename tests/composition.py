"""Hydra composes the tests' configurations from parts that it has read and merged before.

The tests compose several hundred configurations of the same files. Hydra reads and merges all of
them every time, copies the store of schemas with every one, and the choices made so far with every
group, in case a default names one. Here a file is read once, the merge of the same choices is made
once, and the choices are copied where a default names one. What comes out is equal and shared with
nobody; values are set on it by Hydra as ever.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hydra._internal import config_loader_impl, defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra.core.config_store import ConfigStore
from hydra.core.object_type import ObjectType
from omegaconf import OmegaConf

from tests.commands import CONF


class Known:
    """Copies of what was made before, by what it was made of."""

    def __init__(self) -> None:
        self._made: dict[Any, bytes] = {}

    def __call__(self, key: Any, make: Any, *arguments: Any) -> Any:
        """Return what `make(*arguments)` returned for this key; for the key None make it anew."""
        if key is None:
            return make(*arguments)
        if key not in self._made:
            self._made[key] = pickle.dumps(make(*arguments))
        return pickle.loads(self._made[key])


_patch = pytest.MonkeyPatch()
_known = Known()


@contextmanager
def hydras_own() -> Iterator[None]:
    """Compose as Hydra does by itself."""
    _patch.undo()
    try:
        yield
    finally:
        compose_from_known_parts()


def compose_from_known_parts() -> None:
    """Let Hydra keep what it reads and merges."""
    patch, known = _patch, _known
    load = ConfigRepository.load_config
    merge = ConfigLoaderImpl._compose_config_from_defaults_list
    make_list = defaults_list.create_defaults_list
    make_choices = defaults_list._create_interpolation_map

    def load_config(self: Any, config_path: str) -> Any:
        source = self._find_object_source(config_path, ObjectType.CONFIG)
        key = None
        if source is not None and source.scheme() == "file":
            path = Path(source.path, source._normalize_file_name(config_path))
            state = path.stat()
            key = ("file", path, source.provider, state.st_mtime_ns, state.st_size, state.st_ino)
        return known(key, load, self, config_path)

    def compose_config(self: Any, defaults: list[Any], repo: Any) -> Any:
        key = sources_of(repo)
        if key is not None:
            key = ("merge", key, tuple(tuple(vars(default).items()) for default in defaults))
        return known(key, merge, self, defaults, repo)

    def create_list(
        repo: Any, config_name: str, overrides_list: list[Any], prepend_hydra: bool, **options: bool
    ) -> Any:
        groups, values = [], []
        for override in overrides_list:
            if not override.is_sweep_override():
                is_value = isinstance(override.value(), dict)
                is_value = is_value or not repo.group_exists(override.key_or_group)
                (values if is_value else groups).append(override)
        key = sources_of(repo)
        if key is not None:
            lines = tuple(override.input_line for override in groups)
            key = ("list", key, config_name, lines, prepend_hydra, *options.items())

        def make() -> Any:
            return make_list(repo, config_name, groups, prepend_hydra, **options)

        found = known(key, make)
        found.config_overrides.extend(values)
        return found

    def choices_where_named(overrides: Any, defaults: list[Any], self_added: bool) -> Any:
        named = any(default.is_interpolation() for default in defaults if not default.is_self())
        return make_choices(overrides, defaults, self_added) if named else None

    def repository(self: Any, delegate: Any) -> None:
        # Its sources are replaced, never changed.
        self.delegate, self.cache = copy.copy(delegate), {}

    patch.setattr(ConfigRepository, "load_config", load_config)
    patch.setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", compose_config)
    patch.setattr(config_loader_impl, "create_defaults_list", create_list)
    patch.setattr(defaults_list, "_create_interpolation_map", choices_where_named)
    patch.setattr(CachingConfigRepository, "__init__", repository)


def sources_of(repo: Any) -> Any:
    """Return what a merge is made of; None where it reads other files than those of `conf/`."""
    sources = tuple((source.scheme(), source.path) for source in repo.get_sources())
    if any(scheme == "file" and Path(path) != CONF for scheme, path in sources):
        return None
    return sources, tuple(schemas(ConfigStore.instance().repo))


def schemas(group: dict[str, Any], before: str = "") -> Iterator[tuple[Any, ...]]:
    """Yield every schema of the store with its path."""
    for name, node in group.items():
        if isinstance(node, dict):
            yield from schemas(node, f"{before}{name}/")
        else:
            kind = OmegaConf.get_type(node.node)
            content = OmegaConf.to_yaml(node.node) if kind is dict else None
            yield before + name, kind, content, node.package, node.provider
