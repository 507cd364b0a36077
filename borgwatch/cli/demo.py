"""`borgwatch demo`: the whole way on this machine."""

from __future__ import annotations

import asyncio
import sys

import click

from borgwatch.demo import run_demo
from borgwatch.logs import configure

__all__ = ["command"]


@click.command("demo")
@click.option("--recorded", is_flag=True, help="Use recorded Borg output even where Borg is installed.")
def command(recorded: bool) -> int:
    """Let four nights of backups reach a simulated TrueNAS; exits 0 only if every step was confirmed."""
    configure(stream=sys.stderr)
    return 0 if asyncio.run(run_demo(click.echo, use_borg=not recorded)) else 1
