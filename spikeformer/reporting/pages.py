"""How the pages' templates are found and filled."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def template_environment() -> Environment:
    """Return what loads this package's templates, escapes values and refuses unknown names."""
    return Environment(
        loader=PackageLoader("spikeformer.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
