"""What of a configuration is written down, and what of a written one is believed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError
from omegaconf.resolvers import oc

from spikeformer.error_handling import ConfigurationError
from spikeformer.files import UnreadableFileError, read_yaml

MASK = "***"

_SECRET_NAME = re.compile(
    r"(?:.*_)?(?:api_?key|access_key|secret_key|private_key|secret|password|passwd|passphrase"
    r"|credentials?)|token|(?:.*_)?(?:access|api|auth|bearer|hf|hub|login|refresh|wandb)_token",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"\bhf_[A-Za-z0-9]{16,}|\bwandb_v\d_\w{20,}|\b[0-9a-f]{40}\b|\bsk-[\w-]{16,}"
    r"|\bgh[opsur]_\w{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}|\bAKIA[0-9A-Z]{16}\b"
    r"|\bxox[abp]-[\w-]{10,}|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)
_NAMED_VALUE = re.compile(
    r"""(['"]?)([\w.]+)\1(\s*[:=]\s*)(\$\{[^}]*\}|'[^']*'|"[^"]*"|[^\s,{}\['"\]]+)"""
)


def recorded(config: Any) -> Any:
    """Return a configuration as a run folder and a logger may hold it.

    It is resolved, save for what comes from the environment: that stays `${oc.env:NAME}`. Values
    that look like keys, or whose names say so, are masked.

    Example:
        >>> recorded(OmegaConf.create({"a": "${b}", "b": 1, "api_key": "x", "h": "${oc.env:HOME}"}))
        {'a': 1, 'b': 1, 'api_key': '***', 'h': '${oc.env:HOME}'}
    """
    with _without_environment():
        return _recorded(config)


def comes_from_environment(config: DictConfig, key: str) -> bool:
    """Whether a value, or one that it refers to, is taken from the environment."""
    try:
        with _without_environment():
            OmegaConf.select(config, key, throw_on_missing=False)
    except InterpolationResolutionError:
        return True
    return False


def as_typed(overrides: Any) -> list[str]:
    """Return Hydra's list of overrides as they were typed: iterating resolves `${...}` in them."""
    typed = OmegaConf.to_container(overrides, resolve=False)
    assert isinstance(typed, list)
    return [str(override) for override in typed]


def masked(text: str) -> str:
    """Return a text with what looks like a key replaced.

    Example:
        >>> masked("logger.wandb.api_key=abc"), masked("{token: 'a b', tokens: 3}")
        ('logger.wandb.api_key=***', '{token: ***, tokens: 3}')
    """

    def hide(match: re.Match[str]) -> str:
        quote, name, between, value = match.groups()
        secret = _SECRET_NAME.fullmatch(name.rpartition(".")[2])
        keep = not secret or value.startswith("${") or value == "null"
        return match[0] if keep else f"{quote}{name}{quote}{between}{MASK}"

    return _SECRET_VALUE.sub(MASK, _NAMED_VALUE.sub(hide, text))


def read_config(path: Path) -> DictConfig:
    """Read the configuration of a run folder, which may be a stranger's.

    Nothing in it is looked up: what a run records is resolved, and what is left of `${...}` stays
    text, so that no file learns what the environment holds.

    Raises:
        ConfigurationError: It is absent, damaged or no configuration.
    """
    try:
        content = read_yaml(path, dict[str, Any])
    except (FileNotFoundError, UnreadableFileError) as error:
        raise ConfigurationError(str(error)) from error
    config = OmegaConf.create(inert(content))
    assert isinstance(config, DictConfig)
    return config


@contextmanager
def _without_environment() -> Iterator[None]:
    """Let every look into the environment fail."""
    OmegaConf.register_new_resolver("oc.env", _refuse, replace=True)
    try:
        yield
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def _refuse(*_: Any) -> NoReturn:
    raise LookupError("the environment is not recorded")


def _recorded(node: Any) -> Any:
    if isinstance(node, DictConfig):
        keys = [] if node._is_none() else list(node.keys())
        return {key: MASK if _is_secret(key, node) else _member(node, key) for key in keys}
    if isinstance(node, ListConfig):
        return [_member(node, index) for index in range(len(node))]
    if isinstance(node, Mapping):
        return {key: _recorded(value) for key, value in node.items()}
    return masked(node) if isinstance(node, str) else node


def _is_secret(key: Any, node: DictConfig) -> bool:
    raw = node._get_node(key)
    value = raw._value() if raw is not None else None
    if value is None or (isinstance(value, str) and value.startswith("${")):
        return False
    return isinstance(value, str) and _SECRET_NAME.fullmatch(str(key)) is not None


def _member(node: DictConfig | ListConfig, key: Any) -> Any:
    if OmegaConf.is_missing(node, key):
        return "???"
    try:
        return _recorded(node[key])
    except InterpolationResolutionError:
        child: Any = node._get_node(key)
        return masked(str(child._value()))


def inert(value: Any) -> Any:
    """Return plain values whose `${` OmegaConf takes for text."""
    if isinstance(value, dict):
        return {key: inert(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [inert(inner) for inner in value]
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", value) if isinstance(value, str) else value
