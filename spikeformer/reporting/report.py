"""Build the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from spikeformer.error_handling import ArgumentError, check_choice
from spikeformer.files import replacing
from spikeformer.i18n import format_number, get_locale, t, text_direction
from spikeformer.reporting import formats, svg
from spikeformer.reporting.headline import Fact, Headline, headline
from spikeformer.reporting.sections import SECTIONS, Content, Section
from spikeformer.runs.results import RunResults, load_results


def build_report(folder: Path | str, *, save_figures: bool = True) -> Path:
    """Write a run's figures and `report.html`, one page without outside resources.

    Sections whose input is absent are left out, and the page says so. The page is written to a
    temporary name and renamed, so an earlier report survives a failure.

    Args:
        folder: A run folder.
        save_figures: Whether the page's figures are written to `figures/` too, as PNG and SVG.

    Returns:
        The path of the page.

    Raises:
        ResultsError: If the folder does not exist or one of its files cannot be read.

    Example:
        >>> import tempfile
        >>> build_report(tempfile.mkdtemp()).name
        'report.html'
    """
    folder = Path(folder)
    results = load_results(folder)
    environment = page_environment()
    rendered, missing, has_figures = [], [], False
    for section in sorted(SECTIONS.values(), key=lambda section: section.order):
        content = section.build(results)
        if content is None:
            if section.is_missing(results):
                missing.append(section)
            continue
        rendered.append((section, _render(environment, section, content)))
        figures = content.figures.items() if save_figures else ()
        saved = {name: each.figure for name, each in figures if each.save}
        for name, figure in saved.items():
            svg.save(figure, folder / "figures", name)
        has_figures = has_figures or bool(saved)
    path = folder / "report.html"
    write_page(
        path,
        environment,
        kind=t("reporting.run"),
        headline=headline(results),
        sections=rendered,
        missing=missing,
        has_figures=has_figures,
    )
    return path


def build_section_page(
    results: RunResults, name: str, path: Path, *, kind: str, facts: Sequence[Fact] = ()
) -> None:
    """Write one section of a report as a page of its own, without outside resources.

    Args:
        results: What the section shows; its name is the heading.
        name: The section's name.
        path: The page's file.
        kind: What the page is about, above the heading.
        facts: What to show below it.

    Raises:
        ArgumentError: There is no such section, or it has nothing to show of these results.
    """
    section = SECTIONS[check_choice("name", name, SECTIONS)]
    content = section.build(results)
    if content is None:
        raise ArgumentError("results", results.name, f"to hold {section.source}")
    environment = page_environment()
    write_page(
        path,
        environment,
        kind=kind,
        headline=Headline(results.name, None, None, None, list(facts), []),
        sections=[(section, _render(environment, section, content))],
        missing=[],
        has_figures=False,
    )


def write_page(path: Path, environment: Environment, **values: Any) -> None:
    """Write a page from `report.html.j2` and its values in one step."""
    template = environment.get_template("report.html.j2")
    page = template.render(locale=get_locale(), direction=text_direction(), **values)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def page_environment() -> Environment:
    """Return what renders a page's templates: messages, and filters for numbers and names."""
    environment = template_environment()
    environment.globals |= {"t": t, "markup": formats.markup}
    environment.filters["number"] = format_number
    environment.filters["percent"] = formats.percent
    environment.filters["small_unit"] = _small_unit
    environment.filters["breakable"] = formats.breakable
    return environment


def _render(environment: Environment, section: Section, content: Content) -> Markup:
    if content.html is not None:
        return content.html
    figures = {
        name: svg.inline(figure.figure, name, figure.alt)
        for name, figure in content.figures.items()
        if figure.inline
    }
    template = environment.get_template(f"sections/{section.name}.html.j2")
    return Markup(template.render(**content.values, figures=figures))


def _small_unit(value: str) -> Markup:
    """Set the unit of a value apart, for styling."""
    number, space, unit = value.partition("\N{NO-BREAK SPACE}")
    return Markup('{}<span class="unit">{}</span>').format(number, space + unit)


def template_environment() -> Environment:
    """Return what loads this package's templates, escapes values and refuses unknown names."""
    return Environment(
        loader=PackageLoader("spikeformer.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
