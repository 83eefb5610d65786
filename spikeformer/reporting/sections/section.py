"""What a section is, and the registry of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from markupsafe import Markup
from matplotlib.figure import Figure

from spikeformer.error_handling import ArgumentError
from spikeformer.i18n import t, translations
from spikeformer.runs.results import RunResults


@dataclass(frozen=True)
class ReportFigure:
    """A figure and how the page uses it.

    Attributes:
        figure: The drawing.
        alt: What a reader who cannot see it should know.
        inline: Whether the page shows it.
        save: Whether it is also written to `figures/<name>.{png,svg}`.
    """

    figure: Figure
    alt: str
    inline: bool = True
    save: bool = True


@dataclass(frozen=True)
class Content:
    """What a section shows for one run.

    Attributes:
        values: Variables of the section's template fragment.
        figures: Figures by name, unique in the page; the fragment finds the inline ones as
            `figures[name]`, ready to be placed.
        html: Finished markup instead of a template fragment, for sections of other packages.
    """

    values: Mapping[str, object] = field(default_factory=dict)
    figures: Mapping[str, ReportFigure] = field(default_factory=dict)
    html: Markup | None = None


@dataclass(frozen=True)
class Section:
    """One part of the page.

    Attributes:
        name: Anchor in the page and name of the template fragment.
        title: Heading.
        order: Place in the page; the built-in sections use 10, 20, 30 and so on.
        source: The file that the section needs, which the page names when it is absent.
        optional: Whether a run may do without it, so that nothing is said of its absence.
        stage: The stage that writes the file: where it did not run, nothing is said either.
        build: Returns the content, or None if the run has nothing to show.
    """

    name: str
    title: str
    order: int
    source: str
    build: Callable[[RunResults], Content | None]
    optional: bool = False
    stage: str | None = None

    def is_missing(self, results: RunResults) -> bool:
        """Tell whether a run that has nothing to show here should have."""
        ran = self.stage is None or not results.stages or self.stage in results.stages
        return ran and not self.optional

    @property
    def shown_title(self) -> str:
        """The heading in the current locale, for sections that have one."""
        key = f"reporting.section_{self.name}"
        return t(key) if translations.knows(key) else self.title


SECTIONS: dict[str, Section] = {}

_Builder = Callable[[RunResults], Content | None]


def register_section(
    name: str,
    *,
    title: str,
    order: int,
    source: str,
    optional: bool = False,
    stage: str | None = None,
) -> Callable[[_Builder], _Builder]:
    """Add the decorated function to the report's sections.

    Args:
        name: Lower-case word; anchor in the page and name of the template fragment.
        title: Heading.
        order: Place in the page; the built-in sections use 10, 20, 30 and so on.
        source: The file that the section needs, named in the page when the section is left out.
        optional: Whether a run may do without it, so that nothing is said of its absence.
        stage: The stage that writes the file: where it did not run, nothing is said either.

    Raises:
        ArgumentError: If the name is taken or is not an identifier.

    Example:
        >>> @register_section("latency", title="Latency", order=55, source="results/latency.json")
        ... def latency(results):
        ...     return Content(html=Markup("<p>12 ms</p>"))
        >>> SECTIONS.pop("latency").title
        'Latency'
    """
    if not name.isidentifier() or name in SECTIONS:
        taken = ", ".join(SECTIONS)
        raise ArgumentError("name", name, f"an identifier that is not taken (taken: {taken})")

    def decorate(build: _Builder) -> _Builder:
        SECTIONS[name] = Section(name, title, order, source, build, optional, stage)
        return build

    return decorate
