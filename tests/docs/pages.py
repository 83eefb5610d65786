"""Read the documentation's pages: their code blocks, their commands and their links."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

from spikeformer.cli.commands import COMMANDS

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(REPOSITORY)
    for path in (
        *REPOSITORY.glob("*.md"),
        *(REPOSITORY / "docs").rglob("*.md"),
    )
)

_FENCE = re.compile(
    r"^(?P<indent>[ ]*)```(?P<language>\w+)(?P<options>[^\n]*)\n(?P<body>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)
_NOT_RUN = re.compile(r"<!-- not run: .+? -->\s*$")
_TITLE = re.compile(r'title="([^"]+)"')
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)[^)]*\)|(?:src|href)=\"([^\"]+)\"")
_ENTRY = re.compile(
    r"^(?:\w+=\S+ )*(?:(?:\S*/)?python train\.py|spikeformer)"
    rf"(?! (?:{'|'.join(name for name, command in COMMANDS.items() if command.run)})\b)(?= |$)"
)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        language: What follows the fence.
        body: Its text, without the page's indentation.
        title: The file that the block stands for; None for a loose piece of code.
        line: Line of the page on which its body starts.
        runs: Whether the page promises that it runs (no `not run` comment before it).
    """

    language: str
    body: str
    title: str | None
    line: int
    runs: bool


@dataclass(frozen=True)
class Command:
    """One call of the command line.

    Attributes:
        text: As the page writes it.
        overrides: Lists of overrides; for a sweep those of its first and last run.
        config_dir: Value of `--config-dir`, or None.
    """

    text: str
    overrides: list[list[str]]
    config_dir: str | None


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        title = _TITLE.search(match["options"])
        found.append(
            Block(
                match["language"],
                textwrap.dedent(match["body"]),
                title[1] if title else None,
                text.count("\n", 0, match.start("body")) + 1,
                _NOT_RUN.search(text[: match.start()]) is None,
            )
        )
    return found


def write_files(page: Path, folder: Path) -> list[Path]:
    """Write every titled block to its file below `folder`; one title may have several blocks."""
    files: dict[Path, str] = {}
    for block in blocks(page):
        if block.title is not None:
            path = folder / block.title
            files[path] = files.get(path, "") + block.body
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(files)


def commands(page: Path) -> list[Command]:
    """Return the calls of the command line in the bash blocks of a page."""
    found = []
    for block in blocks(page):
        if block.language != "bash" or not block.runs:
            continue
        found += [
            _command(" ".join(line.split()), _ENTRY.sub("", line))
            for line in block.body.replace("\\\n", " ").splitlines()
            if _ENTRY.match(line)
        ]
    return found


def _command(text: str, arguments: str) -> Command:
    words = iter(shlex.split(arguments, comments=True))
    overrides, config_dir = [], None
    for word in words:
        if word in COMMANDS:
            if word != "train":  # the run or model that comes first is the reader's
                overrides += [f"pipeline={word}"]
                next(words)
            continue
        if word in ("--config-dir", "--cfg", "--info"):
            value = next(words)
            config_dir = value if word == "--config-dir" else config_dir
        elif not word.startswith("-"):
            overrides.append(word)
    return Command(text, [list(run) for run in _runs(overrides)], config_dir)


def _runs(overrides: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield the first and the last run of a sweep; Hydra's own keys take no part."""
    choices = []
    for override in OverridesParser.create().parse_overrides(overrides):
        if override.key_or_group.startswith("hydra"):
            continue
        if override.is_interval_sweep():
            interval = override.value()
            key = override.get_key_element()
            choices.append([f"{key}={interval.start}", f"{key}={interval.end}"])
        elif override.is_sweep_override():
            values = override.sweep_string_iterator()
            choices.append([f"{override.get_key_element()}={value}" for value in values])
        else:
            choices.append([override.input_line])
    last = max(map(len, choices), default=1) - 1
    for index in {0, last}:
        yield tuple(values[min(index, len(values) - 1)] for values in choices)


def links(page: Path) -> list[str]:
    """Return the link and image targets of a page, outside of code."""
    text = _FENCE.sub("", (REPOSITORY / page).read_text(encoding="utf-8"))
    text = re.sub(r"`[^`\n]+`", "", text)
    return [first or second for first, second in _LINK.findall(text)]


def names(page: Path) -> set[str]:
    """Return the dotted names below `spikeformer` in a page's inline code."""
    text = _FENCE.sub("", (REPOSITORY / page).read_text(encoding="utf-8"))
    return set(re.findall(r"`(spikeformer(?:\.[A-Za-z_]\w*)+)`", text)) | set(
        re.findall(r"^::: (spikeformer\S*)", text, re.MULTILINE)
    )
