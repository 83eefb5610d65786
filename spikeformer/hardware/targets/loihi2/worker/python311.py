"""Lets Lava 0.10, made for Python 3.10, be imported by Python 3.11.

From 3.11 on a dataclass refuses a mutable object as a default, and one field of Lava has one.
Import this module before Lava.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType

_MODULE = "lava.magma.compiler.var_model"


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path).decode("utf-8")
        source = source.replace("import dataclass, InitVar", "import dataclass, field, InitVar")
        source = source.replace("= ByteEncoder()", "= field(default_factory=ByteEncoder)")
        code: CodeType = compile(source, self.path, "exec")
        return code


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _MODULE:
            return None
        sys.meta_path.remove(self)
        found = importlib.util.find_spec(fullname)
        assert found is not None
        assert found.origin is not None
        return importlib.util.spec_from_loader(fullname, _Loader(fullname, found.origin))


if sys.version_info >= (3, 11):  # noqa: UP036  this runs on 3.10 too
    sys.meta_path.insert(0, _Finder())
