"""The steps of `borgwatch check`: each printed as it is done, with its time, and the worst of them remembered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import click

from borgwatch.cli.output import print_json
from borgwatch.errors import BorgwatchError
from borgwatch.matching.templates import one_line
from borgwatch.redact import redact

__all__ = ["Steps"]


@dataclass(slots=True)
class Steps:
    """Prints what each step found. `exit_code` is 0 as long as nothing is wrong."""

    as_json: bool
    exit_code: int = 0
    _began: float = field(default_factory=time.monotonic)

    def ok(self, name: str, what: str) -> None:
        """Tell that something is as it should be."""
        self._print("ok", name, what)

    def note(self, name: str, what: str) -> None:
        """Tell something that is worth knowing, and not wrong."""
        self._print("note", name, what)

    def wrong(self, name: str, what: str, exit_code: int = 1) -> None:
        """Tell what is wrong and what to do."""
        self.exit_code = max(self.exit_code, exit_code)
        self._print("WRONG", name, what)

    @contextmanager
    def guarded(self, name: str) -> Iterator[None]:
        """Turn an error of borgwatch inside the context into a step that is wrong."""
        try:
            yield
        except BorgwatchError as error:
            self.wrong(name, str(error), error.exit_code)

    def _print(self, result: str, name: str, what: str) -> None:
        took, self._began = time.monotonic() - self._began, time.monotonic()
        plain = one_line(redact(what))
        if self.as_json:
            print_json({"step": name, "result": result.lower(), "what": plain, "seconds": round(took, 3)})
        else:
            click.echo(f"{result:6} {name:9} {plain}  ({took * 1000:.0f} ms)")
