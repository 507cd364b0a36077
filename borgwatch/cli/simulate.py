"""`borgwatch simulate`: the simulated TrueNAS as a server."""

from __future__ import annotations

import asyncio
import math
import signal
from pathlib import Path

import click

from borgwatch.errors import ConfigError
from borgwatch.truenas.simulator import PROFILES, Key, Simulator, load_keys
from borgwatch.yamltree import nearest

__all__ = ["command"]

_WHOLE = ("http_status", "session_expires_after", "huge_frame")
_FAULTS = (
    "redirect", "idle_timeout", "process_alerts_delay", "not_ready", "swallow_creates", "alter_text", "rate_limited",
    "events_before_answer", *_WHOLE,
)  # fmt: skip


@click.command("simulate")
@click.option("--release", type=click.Choice(list(PROFILES)), default="25.10.6", show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="TLS port; 0 takes a free one.")
@click.option("--insecure-port", type=click.IntRange(0, 65535), help="Plain port; counts as remote and insecure.")
@click.option("--insecure-is-local", is_flag=True, help="The plain port counts as the NAS itself, and so as secure.")
@click.option("--unix-socket", type=click.Path(path_type=Path), help="Listen there too: who connects is root.")
@click.option("--mail/--no-mail", default=True, help="Whether outgoing mail is set up.")
@click.option("--fault", "faults", multiple=True, metavar="NAME[=VALUE]", help="Something that goes wrong; see below.")
@click.option("--keys", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="API keys, as JSON.")
def command(
    release: str,
    host: str,
    port: int,
    insecure_port: int | None,
    insecure_is_local: bool,
    unix_socket: Path | None,
    mail: bool,
    faults: tuple[str, ...],
    keys: Path | None,
) -> None:
    """Answer like a TrueNAS of the given release until stopped (SIGTERM).

    Faults: redirect, idle_timeout=SECONDS, http_status=CODE, process_alerts_delay=SECONDS, not_ready, swallow_creates,
    alter_text, rate_limited, session_expires_after=CALLS, events_before_answer, huge_frame=CHARACTERS.
    """
    nas = Simulator(
        release, keys=_keys(keys), host=host, port=port, insecure_port=insecure_port,
        insecure_is_local=insecure_is_local, unix_path=unix_socket, mail=mail,
    )  # fmt: skip
    for fault in faults:
        _set_fault(nas, fault)
    asyncio.run(_serve(nas, shows_keys=keys is None))


def _keys(keys: Path | None) -> list[Key]:
    try:
        return load_keys(keys) if keys is not None else [Key("root", f"1-{'s' * 64}")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{keys}: no API keys can be read from it: {error}") from None


def _set_fault(nas: Simulator, text: str) -> None:
    """Set `name` or `name=value` among the faults; raises a usage error that names what was meant."""
    name, _, value = text.partition("=")
    present = getattr(nas.faults, name, None) if name in _FAULTS else None
    if name not in _FAULTS:
        raise click.BadParameter(f"unknown fault {name!r}{nearest(name, _FAULTS)}", param_hint="--fault")
    if isinstance(present, bool):
        setattr(nas.faults, name, True)
        return
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise click.BadParameter(f"{name} needs a number: {name}=...", param_hint="--fault")
    setattr(nas.faults, name, int(number) if name in _WHOLE else number)


async def _serve(nas: Simulator, *, shows_keys: bool) -> None:
    try:
        await nas.start()
    except OSError as error:
        raise ConfigError(f"cannot listen on {nas.url}: {error.strerror or error}") from None
    try:
        click.echo(f"TrueNAS {nas.release} (simulated) on {nas.url}")
        if nas.insecure_url:
            click.echo(f"plain, counted as remote and insecure: {nas.insecure_url}")
        click.echo(f"certificate fingerprint (sha256): {nas.fingerprint}")
        for key in nas.keys if shows_keys else ():
            click.echo(f"API key of {key.username} ({', '.join(key.roles)}): {key.key}")
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()
    finally:
        await nas.stop()
