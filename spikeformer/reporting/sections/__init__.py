"""The page's sections, in a registry that other parts extend.

To add one, write a function from `RunResults` to `Content | None`, decorate it with
`register_section`, and put the fragment `templates/sections/<name>.html.j2` next to the others (or
return finished `html`). None means that the run has nothing to show there.
"""

from __future__ import annotations

from spikeformer.reporting.sections import (
    cache,
    comparison,
    configuration,
    conversion,
    energy,
    environment,
    examples,
    hardware,
    layers,
    plan,
    privacy,
    sample,
    tasks,
    test,
    training,
    validation,
)
from spikeformer.reporting.sections.section import (
    SECTIONS,
    Content,
    ReportFigure,
    Section,
    register_section,
)

__all__ = [
    "SECTIONS",
    "Content",
    "ReportFigure",
    "Section",
    "cache",
    "comparison",
    "configuration",
    "conversion",
    "energy",
    "environment",
    "examples",
    "hardware",
    "layers",
    "plan",
    "privacy",
    "register_section",
    "sample",
    "tasks",
    "test",
    "training",
    "validation",
]
