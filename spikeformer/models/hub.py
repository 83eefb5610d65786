"""Folders with a network that is ready for use, here and on the Hugging Face hub."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Self

from spikeformer.config import bundled, pretrained_names
from spikeformer.error_handling import ConfigurationError, MissingDependencyError
from spikeformer.files import write_text

CARD = "README.md"


class HubMixin:
    """Gives a network `save_pretrained`, `from_pretrained` and `push_to_hub`.

    It is no `ABC`, which would change the layout of a network's class: FSDP puts another class in
    its place, and Python allows that among classes of one layout.
    """

    hub_files: ClassVar[Sequence[str]]
    """What of a repository is downloaded."""

    def _write(self, folder: Path) -> None:
        """Write the network into a folder."""
        raise NotImplementedError

    @classmethod
    def _read(cls, folder: Path, **options: Any) -> Self:
        """Return the network of a folder."""
        raise NotImplementedError

    def save_pretrained(self, folder: str | Path, *, card: str | None = None) -> Path:
        """Write the network and what belongs to it into a folder: weights, configuration, card.

        Args:
            folder: Where to; made if it is not there.
            card: The model card, Markdown; None writes one that says what the network is. That of
                a run, with its results, is written by `spikeformer.load_run(run).save_pretrained`.

        Raises:
            ConfigurationError: The network is not what its constructor makes, so that a file could
                not say how to build it.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._write(folder)
        write_text(folder / CARD, card or plain_card(type(self).__name__))
        return folder

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        **options: Any,
    ) -> Self:
        """Return a network that was saved, in evaluation mode.

        Args:
            name: A folder; the name of a network that comes with the package, such as "digits"
                (`spikeformer models` lists them); or a repository of the hub, such as "owner/name".
            revision: Branch, tag or commit of the repository.
            token: Token of the hub; None takes the one that is logged in.
            local_files_only: Take what was downloaded before.
            **options: Further arguments of the class's loader, as `trusted=["my_lab"]`, packages
                of your own that the network's configuration may name.

        Raises:
            ConfigurationError: There is no such network, or its files cannot be read or do not
                belong together. The message names what is missing.
            MissingDependencyError: A package is not installed.
        """
        folder = located(name)
        if folder is None:
            folder = _download(
                str(name),
                [*cls.hub_files, CARD],
                revision=revision,
                token=token,
                local_files_only=local_files_only,
            )
        return cls._read(folder, **options)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        card: str | None = None,
        private: bool | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        commit_message: str = "Upload a spiking network",
    ) -> str:
        """Upload the network to the Hugging Face hub, and make the repository if need be.

        Args:
            repo_id: The repository, as "owner/name".
            card: The model card, as for `save_pretrained`.
            private: Whether nobody else may see a repository that is made; None is the hub's
                default.
            token: Token of the hub; None takes the one that is logged in.
            revision: Branch to commit to.
            commit_message: The commit's message.

        Returns:
            Address of the commit.

        Raises:
            MissingDependencyError: `huggingface_hub` is not installed.
        """
        api = _hub().HfApi(token=token)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, card=card)
            repo = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
            commit = api.upload_folder(
                repo_id=repo, folder_path=folder, revision=revision, commit_message=commit_message
            )
        return str(commit.commit_url)


def located(name: str | Path) -> Path | None:
    """Return the folder that a name stands for on this machine; None if it names a repository.

    Raises:
        ConfigurationError: It can be neither a folder nor the name of anything.
    """
    if Path(name).is_dir():
        return Path(name)
    if (folder := bundled(str(name))) is not None:
        return folder
    owner, _, repo = str(name).partition("/")
    if isinstance(name, Path) or not (owner and repo) or "/" in repo or owner.startswith("."):
        known = ", ".join(pretrained_names())
        raise ConfigurationError(
            f"Expected a folder, one of the names {known}, or a repository 'owner/name', but got"
            f" {str(name)!r}, which is none of them."
        )
    return None


def _download(name: str, files: Sequence[str], **options: Any) -> Path:
    hub = _hub()
    try:
        return Path(hub.snapshot_download(name, allow_patterns=list(files), **options))
    except (hub.errors.HfHubHTTPError, hub.errors.LocalEntryNotFoundError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigurationError(
            f"The repository {name!r} could not be downloaded: {reason} Check its name, the"
            " revision, the token and the network, or give a folder."
        ) from error


def _hub() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        raise MissingDependencyError(
            "Networks on the Hugging Face hub need huggingface_hub: pip install 'spikeformer[hub]'."
        ) from error
    return huggingface_hub


def plain_card(kind: str) -> str:
    """Return the card of a network of which nothing else is known."""
    return f"""{card_header()}
# A spiking network

A `{kind}` of [SpikeFormer](https://github.com/spikeformer/spikeformer), version
{version("spikeformer")}. Its author has not said what it was trained on, nor how well it does.

{usage(kind)}"""


def card_header(**entries: str) -> str:
    """Return the front matter by which the hub finds a network."""
    lines = {"library_name": "spikeformer", **entries}
    tags = "tags:\n- spiking-neural-network\n- spikeformer"
    return "\n".join(["---", *(f"{key}: {value}" for key, value in lines.items()), tags, "---", ""])


def usage(kind: str, name: str = "FOLDER_OR_NAME") -> str:
    """Return the section of a card on how to load the network."""
    home = "conversion" if kind == "SpikingModel" else "models"
    return f"""## Use it

```python
from spikeformer.{home} import {kind}

net = {kind}.from_pretrained("{name}")
```
"""
