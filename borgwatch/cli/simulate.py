"""`borgwatch simulate`: the simulated TrueNAS as a server."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import click

from borgwatch.errors import ConfigError
from borgwatch.truenas.simulator import PROFILES, Key, Simulator, load_keys

__all__ = ["command"]


@click.command("simulate")
@click.option("--release", type=click.Choice(list(PROFILES)), default="25.10.6", show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="TLS port; 0 takes a free one.")
@click.option("--insecure-port", type=click.IntRange(0, 65535), help="Plain port; counts as remote and insecure.")
@click.option("--keys", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="API keys, as JSON.")
def command(release: str, host: str, port: int, insecure_port: int | None, keys: Path | None) -> None:
    """Answer like a TrueNAS of the given release until stopped (SIGTERM)."""
    asyncio.run(_serve(release, host, port, insecure_port, keys))


async def _serve(release: str, host: str, port: int, insecure_port: int | None, keys: Path | None) -> None:
    try:
        known = load_keys(keys) if keys is not None else [Key("root", f"1-{'s' * 64}")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{keys}: no API keys can be read from it: {error}") from None
    nas = Simulator(release, keys=known, host=host, port=port, insecure_port=insecure_port)
    try:
        await nas.start()
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}: {error.strerror or error}") from None
    try:
        click.echo(f"TrueNAS {release} (simulated) on {nas.url}")
        if nas.insecure_url:
            click.echo(f"plain, counted as remote and insecure: {nas.insecure_url}")
        click.echo(f"certificate fingerprint (sha256): {nas.fingerprint}")
        for key in nas.keys if keys is None else ():
            click.echo(f"API key of {key.username} ({', '.join(key.roles)}): {key.key}")
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()
    finally:
        await nas.stop()
