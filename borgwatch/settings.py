"""What borgwatch goes by: the settings as values, and the one table of them, also behind the README's.

Text comes in, from wherever it was written; a checked value leaves, or a ValueError that says what the text should
have been. Where settings are read from is the business of `config`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from borgwatch.errors import ConfigError
from borgwatch.policy.alerts import DEFAULT_EVENTS, EventFilter
from borgwatch.policy.deadman import Expectation
from borgwatch.redact import register_secret
from borgwatch.secret import Secret
from borgwatch.spans import parse_span
from borgwatch.truenas.address import Address, parse_address
from borgwatch.truenas.alerts import CLASSES, ClassChoice
from borgwatch.yamltree import nearest

__all__ = [
    "SETTINGS",
    "SOURCE_KINDS",
    "Setting",
    "Settings",
    "SourceSetting",
    "TrueNASSettings",
    "Verify",
    "is_key",
    "state_is_watched",
]

SOURCE_KINDS = ("log", "status", "heartbeat", "docker", "truenas-app")
"""How a source can be read; see `borgwatch.sources.choice.Kind`, and `borgwatch.sources.app_output` for the last."""
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off", ""})
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG])B\Z")
_SIZE_UNITS = {"k": 10**3, "M": 10**6, "G": 10**9}
_LEAST_SIZE = 5_000_000
_CLASSED = ("failure", "warning", "success")
_KEY = re.compile(r"\d+-[!-~]+\Z")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}\Z")


class Verify(StrEnum):
    """How far the certificate of TrueNAS is checked."""

    FULL = "true"
    PIN = "pin"
    NONE = "false"


@dataclass(frozen=True, slots=True)
class TrueNASSettings:
    """How to reach TrueNAS. `verify` is None where the user said nothing: the address then decides."""

    enabled: bool = False
    address: Address | None = None
    key: Secret | None = None
    key_file: Path | None = None
    username: str | None = None
    verify: Verify | None = None
    ca_file: Path | None = None
    server_name: str | None = None
    fingerprint: str | None = None
    allow_plain: bool = False
    classes: ClassChoice = field(default_factory=ClassChoice)

    @property
    def verification(self) -> Verify:
        """What is done in the end.

        For a `ws://` address, over which no certificate was ever checked, `true` means to pin the one seen first. With
        a fingerprint the certificate is checked, whatever else was said.
        """
        if self.fingerprint is not None:
            return Verify.FULL
        was_plain = self.address is not None and self.address.was_plain
        if self.verify is Verify.NONE:
            return Verify.NONE
        if was_plain and not self.ca_file:
            return Verify.PIN
        return self.verify or Verify.FULL


@dataclass(frozen=True, slots=True)
class SourceSetting:
    """What the user says of files: a glob below a watched directory, their job, their default operation.

    `kind` says how they are read: `log`, `status`, `heartbeat`, or `docker`, where `container` stands for the path, or
    `truenas-app`, where `app` does, and `service` names one of its containers.
    """

    path: str
    job: str | None = None
    operation: str | None = None
    kind: str = "log"
    container: str = ""
    app: str = ""
    service: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that borgwatch goes by. `problems` holds what was wrong, one line each."""

    truenas: TrueNASSettings = field(default_factory=TrueNASSettings)
    events: EventFilter = field(default_factory=EventFilter)
    events_chosen: bool = False
    watch: tuple[Path, ...] = (Path("/watch"),)
    state: Path = Path("/state")
    run: Path = Path("/tmp")  # noqa: S108 - `Heart` makes its file there in a way that nobody else can turn
    rules: tuple[Path, ...] = (Path("/rules"),)
    expect: tuple[Expectation, ...] = ()
    stalled_after: timedelta = timedelta(hours=24)
    poll: timedelta = timedelta(seconds=2)
    instance: str = "main"
    keep: timedelta = timedelta(days=400)
    keep_size: int = 50_000_000
    log_format: str = "text"
    web_port: int | None = None
    web_host: str = "127.0.0.1"
    web_names: tuple[str, ...] = ()
    sources: tuple[SourceSetting, ...] = ()
    problems: tuple[str, ...] = ()

    def checked(self) -> Settings:
        """Return the settings themselves, or raise `ConfigError` with all that is wrong."""
        if self.problems:
            raise ConfigError("\n".join(self.problems))
        return self


# -- reading single values: each takes text and raises ValueError with what the text should have been -----------


def _size(text: str) -> int:
    found = _SIZE.match(text.strip())
    if found is None:
        raise ValueError("must be a size such as 50MB or 1GB")
    size = int(float(found[1]) * _SIZE_UNITS[found[2]])
    if not _LEAST_SIZE <= size < 1 << 62:
        raise ValueError(f"must be at least {_LEAST_SIZE // 10**6}MB" if size < _LEAST_SIZE else "is too large")
    return size


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError("must be true or false")
    return word in _TRUE


def _verify(text: str) -> Verify:
    word = text.strip().lower()
    if word == "pin":
        return Verify.PIN
    return Verify.FULL if _boolean(word) else Verify.NONE


def is_key(text: str) -> bool:
    """Say whether a text has the shape of an API key."""
    return _KEY.match(text) is not None


def _key(text: str) -> Secret:
    if not is_key(text):
        raise ValueError("must look like <number>-<secret>, as TrueNAS shows it once when the key is made")
    register_secret(text)
    return Secret(text)


def _fingerprint(text: str) -> str:
    digits = re.sub(r"(?i)^sha-?256[:=]", "", text.strip()).replace(":", "").lower()
    if not _FINGERPRINT.match(digits):
        raise ValueError("must be the 64 hex digits of a SHA-256 fingerprint")
    return digits


def _classes(text: str) -> ClassChoice:
    """Read `failure=RsyncFailed,warning=…`, or one class for everything; of the others the default stays."""
    chosen: dict[str, str] = {}
    for word in _words(text):
        outcome, separator, name = word.rpartition("=")
        if separator and outcome not in _CLASSED:
            raise ValueError(f"must say failure=, warning= or success=, not {outcome!r}{nearest(outcome, _CLASSED)}")
        if name not in CLASSES:
            raise ValueError(f"knows no alert class {name!r}; choose of {', '.join(CLASSES)}")
        chosen |= {outcome: name} if separator else dict.fromkeys(_CLASSED, name)
    return ClassChoice(**chosen)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[,\s]+", text) if word)


def _events(text: str) -> EventFilter:
    return EventFilter(_words(text) or DEFAULT_EVENTS)


def _expect(text: str) -> tuple[Expectation, ...]:
    return () if text.strip() == "off" else (Expectation("*", "backup", parse_span(text)),)


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(part.strip()) for part in text.split(",") if part.strip())


def _log_format(text: str) -> str:
    word = text.strip().lower()
    if word not in ("text", "json", "logfmt"):
        raise ValueError("must be text, json or logfmt")
    return word


_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_-]{1,63})*\Z")


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text.strip()) or not 0 < int(text) <= 65535:  # noqa: PLR2004 - ports are 16 bits
        raise ValueError("must be a port from 1 to 65535")
    return int(text)


def _host(text: str) -> str:
    """Read an address to listen on: a name could come to mean another one."""
    try:
        return str(ipaddress.ip_address("127.0.0.1" if text.strip() == "localhost" else text.strip()))
    except ValueError:
        raise ValueError("must be an IP address of this machine, or 0.0.0.0 for all of them") from None


def _host_names(text: str) -> tuple[str, ...]:
    names = tuple(name.lower() for name in _words(text))
    if wrong := next((name for name in names if not _HOST_NAME.match(name)), None):
        raise ValueError(f"must be host names without port or path, and {wrong!r} is none")
    return names


def state_is_watched(settings: Settings) -> str:
    """Say what is wrong if the journal would be written where borgwatch must only read; empty if nothing is."""
    for directory in settings.watch:
        if settings.state.resolve().is_relative_to(directory.resolve()):
            return (
                f"BORGWATCH_STATE: {settings.state} lies in the watched directory {directory}, where borgwatch must not"
                " write: choose another"
            )
    return ""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its variable, its key in the file, how it is read, what it means, and its default in words.

    `secret` may come from a file; `many` may be a list in the settings file.
    """

    variable: str
    key: str
    read: Callable[[str], object]
    meaning: str
    default: str = ""
    secret: bool = False
    many: bool = False


SETTINGS = (
    Setting("NOTIFY_TRUENAS_ENABLED", "truenas.enabled", _boolean, "push to TrueNAS; otherwise watch and log", "false"),
    Setting(
        "NOTIFY_TRUENAS_API_URL", "truenas.url", parse_address,
        "`wss://host`; also `ws://`, `http://`, `unix:///path`",
    ),
    Setting("NOTIFY_TRUENAS_API_KEY", "truenas.key", _key, "the API key, `<number>-<secret>`", secret=True),
    Setting("NOTIFY_TRUENAS_USERNAME", "truenas.username", str.strip, "owner of the key", "`root`, else as found"),
    Setting(
        "NOTIFY_TRUENAS_VERIFY_SSL", "truenas.verify", _verify,
        "`true`; `pin` trusts what it saw first; `false` accepts any", "`true`; `pin` for `ws://`",
    ),
    Setting("NOTIFY_TRUENAS_CA_FILE", "truenas.ca_file", Path, "certificate file to trust (CA, or TrueNAS' own)"),
    Setting("NOTIFY_TRUENAS_SERVER_NAME", "truenas.server_name", str.strip, "host name in the certificate", "the host"),
    Setting("NOTIFY_TRUENAS_FINGERPRINT", "truenas.fingerprint", _fingerprint, "SHA-256 of the certificate to trust"),
    Setting(
        "NOTIFY_TRUENAS_ALLOW_PLAIN", "truenas.allow_plain", _boolean,
        "a `ws://` host without TLS is spoken to in the clear; the key stays home (26 and later)", "false",
    ),
    Setting(
        "NOTIFY_TRUENAS_CLASSES", "truenas.classes", _classes,
        "alert classes, `failure=...,warning=...,success=...`, or one for all",
        "`failure=CloudBackupTaskFailed,warning=ScrubNotStarted,success=RsyncSuccess`",
    ),
    Setting("NOTIFY_EVENTS", "events", _events, "event names, `*` allowed", f"`{','.join(DEFAULT_EVENTS)}`", many=True),
    Setting("BORGWATCH_WATCH", "watch", _paths, "directories to watch", "`/watch`", many=True),
    Setting("BORGWATCH_STATE", "state", Path, "directory of the journal", "`/state`"),
    Setting("BORGWATCH_RUN", "run", Path, "directory of the sign of life that `healthcheck` reads", "`/tmp`"),
    Setting("BORGWATCH_RULES", "rules", _paths, "directories with rule files of yours", "`/rules`", many=True),
    Setting("BORGWATCH_EXPECT", "expect", _expect, "tell if no backup succeeded for so long, such as `26h`", "off"),
    Setting("BORGWATCH_STALLED_AFTER", "stalled_after", parse_span, "silence that makes a run stalled", "`24h`"),
    Setting("BORGWATCH_POLL", "poll", parse_span, "how often files are looked at without a hint", "`2s`"),
    Setting("BORGWATCH_INSTANCE", "instance", str.strip, "name of this borgwatch, if several use one NAS", "`main`"),
    Setting("BORGWATCH_KEEP", "keep", parse_span, "how far back the history goes", "`400d`"),
    Setting("BORGWATCH_KEEP_SIZE", "keep_size", _size, "how large the journal may become", "`50MB`"),
    Setting("BORGWATCH_LOG_FORMAT", "log_format", _log_format, "`text`, `json` or `logfmt`", "`text`"),
    Setting("BORGWATCH_WEB_PORT", "web_port", _port, "port of the [status page](docs/status-page.md)", "off"),
    Setting(
        "BORGWATCH_WEB_HOST", "web_host", _host, "address that the page listens on",
        "`127.0.0.1`; `0.0.0.0` in the image",
    ),
    Setting("BORGWATCH_WEB_NAMES", "web_names", _host_names, "host names that the page answers to", many=True),
)  # fmt: skip
"""Every setting there is."""
