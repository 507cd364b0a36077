"""Keeps what is optional for a library from being loaded with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import cast

__all__ = ["without"]


@contextmanager
def without(name: str) -> Iterator[None]:
    """Let an import of the module `name` fail as if it were not installed, unless it is loaded already."""
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    if name in modules:
        yield
        return
    modules[name] = None
    try:
        yield
    finally:
        del modules[name]
