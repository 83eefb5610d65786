"""Objects as configurations: the inverse of `instantiate`."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import fields as fields_of
from dataclasses import is_dataclass
from functools import partial
from typing import Any, Self

from spikeformer.error_handling import ConfigurationError


class Described:
    """Remembers the arguments of its constructor as a configuration, with which it can be built.

    A base class for networks of your own that are to be saved: `save_pretrained` writes the
    description down. Put it first: `class Patches(Described, torch.nn.Module)`.

    Example:
        >>> from functools import partial
        >>> class Layer(Described):
        ...     def __init__(self, width, shape=()):
        ...         pass
        >>> node = Layer(8, shape=(2, 3)).description
        >>> node["_target_"].endswith("Layer"), node["width"], node["shape"]
        (True, 8, [2, 3])
    """

    _described: dict[str, Any] | str

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Note the arguments; `__init__` gets them as ever."""
        made = super().__new__(cls)
        try:
            made.__dict__["_described"] = _call(cls, (), _bound(cls, args, kwargs))
        except ConfigurationError as error:
            made.__dict__["_described"] = str(error)
        return made

    @property
    def description(self) -> dict[str, Any]:
        """The configuration that `instantiate` makes an equal object of.

        Raises:
            ConfigurationError: An argument was something that no configuration can name, such as
                a lambda.
        """
        if isinstance(self._described, str):
            raise ConfigurationError(self._described)
        return self._described


def describe(value: Any) -> Any:
    """Return a value as plain data of which `instantiate` makes an equal one.

    Args:
        value: Plain data, a class or a module's function (which become `_partial_`), a
            `functools.partial` of them, a dataclass, or an object that is `Described`.

    Raises:
        ConfigurationError: It is something else.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: describe(item) for key, item in value.items()}
    if isinstance(value, Described):
        return value.description
    if isinstance(value, partial):
        return {**_call(value.func, value.args, value.keywords), "_partial_": True}
    if is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: describe(getattr(value, field.name)) for field in fields_of(value)}
        return {"_target_": public_path(type(value)), **fields}
    if isinstance(value, type) or hasattr(value, "__qualname__"):
        return {"_target_": public_path(value), "_partial_": True}
    raise ConfigurationError(
        f"Expected an argument that a file can name, but got {type(value).__name__}. Use plain"
        " values, classes, `functools.partial`, or objects that derive from"
        " `spikeformer.config.Described`."
    )


def _bound(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return all arguments of a constructor by name, with the defaults of today."""
    try:
        constructor = cls.__init__  # type: ignore[misc]
        found = inspect.signature(constructor).bind(None, *args, **kwargs)
    except TypeError:
        return kwargs  # `copy` and `pickle` give none; what `__init__` refuses, it refuses itself
    found.apply_defaults()
    kinds = found.signature.parameters
    bound: dict[str, Any] = {}
    for name, value in list(found.arguments.items())[1:]:
        if kinds[name].kind is inspect.Parameter.VAR_KEYWORD:
            bound |= value
        elif kinds[name].kind is not inspect.Parameter.VAR_POSITIONAL:
            bound[name] = value
        elif value:
            bound["_args_"] = list(value)
    return bound


def _call(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    positional = {"_args_": describe(args)} if args else {}
    return {"_target_": public_path(target), **positional, **describe(kwargs)}


def public_path(target: Any) -> str:
    """Return the dotted path of a class or function, in the outermost package that offers it.

    Raises:
        ConfigurationError: It has none: it was defined inside a function, or is a lambda.
    """
    module, name = target.__module__, target.__qualname__
    if "<" in name:
        raise ConfigurationError(
            f"Expected a class or function that a module offers, but got {module}.{name}. Define"
            " it at the top of a module."
        )
    parts = module.split(".")
    for length in range(2, len(parts)):
        package = ".".join(parts[:length])
        if getattr(importlib.import_module(package), name, None) is target:
            return f"{package}.{name}"
    return f"{module}.{name}"
