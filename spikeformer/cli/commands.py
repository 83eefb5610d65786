"""The commands of `spikeformer`: pipelines and tools, each by one word."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from spikeformer import importing
from spikeformer.cli.paths import quoted
from spikeformer.config import bundled
from spikeformer.error_handling import ConfigurationError, MissingDependencyError
from spikeformer.i18n import t


@dataclass(frozen=True)
class Command:
    """What the first word of the command line asks for.

    Attributes:
        example: How a pipeline is typed, after `spikeformer`. A tool's parser has examples itself.
        run: A tool: from the words that follow to an exit status. None for a pipeline.
        overrides: A pipeline: from the words that follow to the overrides of a configuration.
    """

    example: str = ""
    run: Callable[[Sequence[str]], int] | None = None
    overrides: Callable[[Sequence[str]], list[str]] | None = None


def _pipeline(name: str, subject: str) -> Callable[[Sequence[str]], list[str]]:
    """Return a command's overrides: its pipeline, and the run or model that comes first."""

    def overrides(arguments: Sequence[str]) -> list[str]:
        first, rest = arguments[:1], list(arguments[1:])
        if not first or first[0].startswith("-") or "=" in first[0].partition("/")[0]:
            given = {"command": name, "subject": subject, "example": COMMANDS[name].example}
            raise ConfigurationError(t("cli.needs_subject", **given))
        if subject == "MODEL":
            chosen = f"model.pretrained={quoted(first[0])}"
        else:
            chosen = f"checkpoint={quoted(str(_checkpoint(Path(first[0]))))}"
        return [f"pipeline={name}", chosen, *rest]

    return overrides


def _checkpoint(path: Path) -> Path:
    """Return a run's last checkpoint, the weights of a saved network, or the file itself."""
    folder = path if path.is_dir() else bundled(str(path))
    if folder is not None and (folder / SAVED).is_file():
        return folder / SAVED
    if path.is_file():
        return path
    if not path.is_dir():
        raise ConfigurationError(t("cli.no_such_run", name=path))
    with importing():  # brings torch, which other commands need not wait for
        from spikeformer.runs import RunFolder

    last = RunFolder(path).checkpoint("last")
    if not last.is_file():
        raise ConfigurationError(t("cli.run_without_weights", folder=path, file=last))
    return last


def _tool(name: str, module: str | None = None) -> Callable[[Sequence[str]], int]:
    """Return the command `name` of a module beside this one, imported when it is called.

    Some bring torch, which the other commands need not wait for.
    """

    def run(arguments: Sequence[str]) -> int:
        with importing():
            home = import_module(f"spikeformer.cli.{module or name}")
        status: int = getattr(home, name)(arguments)
        return status

    return run


def _serve(arguments: Sequence[str]) -> int:
    try:
        with importing():
            from spikeformer.cli.serve import serve  # brings torch and aiohttp
    except ModuleNotFoundError as error:
        command = 'pip install "spikeformer[serve]"'
        raise MissingDependencyError(t("cli.needs_extra", command=command)) from error
    return serve(arguments)


SAVED = "model.safetensors"
"""The weights of a network that `save_pretrained` wrote."""

COMMANDS: dict[str, Command] = {
    "train": Command("train model=spiking_vit data=digits", overrides=list),
    "evaluate": Command("evaluate outputs/RUN", overrides=_pipeline("evaluate", "RUN")),
    "predict": Command("predict outputs/RUN", overrides=_pipeline("predict", "RUN")),
    "convert": Command("convert outputs/bert data=sst2", overrides=_pipeline("convert", "MODEL")),
    "deploy": Command(
        "deploy outputs/RUN hardware=simulation", overrides=_pipeline("deploy", "RUN")
    ),
    "plan": Command(
        "plan model=spiking_vit_base hardware=loihi2",
        overrides=lambda rest: ["pipeline=plan", *rest],
    ),
    "generate": Command(run=_tool("generate")),
    "energy": Command(run=_tool("energy")),
    "serve": Command(run=_serve),
    "report": Command(run=_tool("report", "runs")),
    "runs": Command(run=_tool("runs")),
    "models": Command(run=_tool("models", "pretrained")),
    "doctor": Command(run=_tool("doctor")),
    "privacy": Command(run=_tool("privacy")),
}


def as_overrides(arguments: Sequence[str]) -> list[str] | int:
    """Return the overrides that a command line stands for, or a tool's exit status.

    Args:
        arguments: The words behind the program's name. Without a command they are overrides.

    Raises:
        ConfigurationError: The first word is no command and no override, or its command lacks
            something.
    """
    name, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    command = COMMANDS.get(name)
    if command is None:
        if name and "=" not in name and not name.startswith(("-", "~", "+")):
            raise ConfigurationError(_unknown(name))
        return list(arguments)
    if command.run is not None:
        return command.run(rest)
    assert command.overrides is not None
    if name != "train" and {"-h", "--help"} & set(rest):
        print(_usage(name))
        return 0
    return command.overrides(rest)


def overview() -> str:
    """Return the list of commands with what each does."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {_summary(name)}" for name in COMMANDS]
    return "\n".join([t("cli.overview"), "", *lines, "", t("cli.overview_help")])


def _usage(name: str) -> str:
    example = f"spikeformer {COMMANDS[name].example}"
    return "\n".join([_summary(name), "", f"  {example}", "", t("cli.overrides_follow")])


def _summary(name: str) -> str:
    return t(f"cli.command_{name}")


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    text = t("cli.no_command", name=name, commands=", ".join(COMMANDS))
    return f"{text}\n{t('cli.did_you_mean', name=near[0])}" if near else text
