"""Prepares docstrings for Markdown; mkdocstrings loads this file as a griffe extension."""

from __future__ import annotations

import re
from typing import Any

import griffe


class PlainDocstrings(griffe.Extension):
    """Reads the conventions of the code in the words that the renderer knows."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite one object's docstring."""
        if obj.docstring is None:
            return
        text = obj.docstring.value
        # A single example is one of many to the parser; else its output is read as links.
        text = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)
        # The double colon announces an indented block, which Markdown sees by itself.
        text = re.sub(r"::$", ":", text, flags=re.MULTILINE)
        # A named tuple's fields are attributes, and it has no constructor to look them up in.
        if isinstance(obj, griffe.Class) and any("NamedTuple" in str(base) for base in obj.bases):
            text = re.sub(r"^Args:$", "Attributes:", text, flags=re.MULTILINE)
        obj.docstring.value = text
