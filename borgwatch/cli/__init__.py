"""The command line: one small module a command; commands render and decide nothing.

Exit codes: 0 all is well, 1 something was found wrong, 2 a usage or configuration error. Errors go to standard
error as one readable line each.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from types import TracebackType
from typing import NoReturn

import click

from borgwatch import __version__
from borgwatch.errors import BorgwatchError
from borgwatch.matching.templates import one_line
from borgwatch.redact import redact
from borgwatch.yamltree import nearest

__all__ = ["cli", "main"]

_COMMANDS = {
    # name: (module, what it is for); modules are imported when they are needed
    "run": ("run", "Watch and deliver: the service."),
    "demo": ("demo", "The whole way on this machine, with a simulated TrueNAS."),
    "check": ("check", "Look at settings, rules, sources and TrueNAS, step by step."),
    "notify": ("notify", "Send one notification and wait for the proof."),
    "status": ("status", "How each job stands, in five lines."),
    "history": ("history", "What ran, how it ended, and what did not run."),
    "review": ("review", "What a person should look at, since the last time."),
    "replay": ("replay", "Judge old logs; nothing is sent."),
    "explain": ("explain", "Why a line did or did not match."),
    "rules": ("rules", "List the rules, run their samples, print their schema."),
    "healthcheck": ("healthcheck", "Say whether the service is alive, for a container's health check."),
    "simulate": ("simulate", "Run the simulated TrueNAS as a server."),
}
_ALIASES = {"doctor": "check"}
_OUTPUT_IS_GONE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})
"""How writing to a full disk or a terminal that was closed fails; what else fails names a file."""


class _Commands(click.Group):
    """Finds a command's module when the command is called."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        found = _COMMANDS.get(_ALIASES.get(name, name))
        if found is None:
            return None
        command = importlib.import_module(f"borgwatch.cli.{found[0]}").command
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"no such command {args[0]!r}{nearest(args[0], _COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="borgwatch", message="%(prog)s %(version)s")
def cli() -> None:
    """Make the outcome of unmodified Borg backups visible in TrueNAS, with proof of delivery."""


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    sys.excepthook = _say_masked
    try:
        _run()
    finally:
        _let_go_of_output()


def _say_masked(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Write a traceback that nobody thought of: secrets in it are masked there as well."""
    import traceback  # noqa: PLC0415 - for this case only

    click.echo(redact("".join(traceback.format_exception(kind, error, trace))), err=True, nl=False)


def _let_go_of_output() -> None:
    """Write out what is left, or give it up: a full disk behind standard output is no reason to fail at the end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _run() -> NoReturn:
    try:
        code = cli.main(prog_name="borgwatch", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        click.echo(f"borgwatch: {one_line(redact(error.format_message()))}", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        sys.exit(130)
    except BorgwatchError as error:
        for line in str(error).split("\n"):  # and at nothing else: a file name may hold what ends a line elsewhere
            click.echo(f"borgwatch: {one_line(redact(line))}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        if error.filename is not None or error.errno not in _OUTPUT_IS_GONE:
            raise
        click.echo(f"borgwatch: the output could not be written: {error.strerror}", err=True)
        sys.exit(1)
