"""Settings: the environment, a YAML file, and secrets from files, checked before anything runs.

`load` takes the environment as a mapping and returns `Settings`; what is wrong is told in `Settings.problems`, one
clear line each, and the default stands in its place. Commands refuse to run with problems (exit 2); the service
says them and goes on with what is sound. `SETTINGS` is the one table of all settings, also behind the README's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path, PurePath
from typing import Any

from borgwatch.deadman import Expectation
from borgwatch.errors import ConfigError
from borgwatch.expectations import read_expectations
from borgwatch.model import EVENT_NAMES, OPERATIONS
from borgwatch.policy import DEFAULT_EVENTS, EventFilter, unknown_patterns
from borgwatch.redact import redact, register_secret
from borgwatch.secret import Secret
from borgwatch.spans import parse_span
from borgwatch.truenas.address import Address, parse_address
from borgwatch.truenas.alerts import CLASSES, ClassChoice
from borgwatch.yamltree import Document, Node, SequenceNode, nearest

__all__ = [
    "SETTINGS",
    "SOURCE_KINDS",
    "Setting",
    "Settings",
    "SourceSetting",
    "TrueNASSettings",
    "Verify",
    "load",
    "state_is_watched",
]

SOURCE_KINDS = ("log", "status", "heartbeat", "docker")
"""How the files of a source can be read; see `borgwatch.sources.choice.Kind`."""
CONFIG_VARIABLE = "BORGWATCH_CONFIG"
DEFAULT_CONFIG = Path("/config/borgwatch.yaml")
_PREFIXES = ("BORGWATCH_", "NOTIFY_")
_MATCHABLE = (*EVENT_NAMES, "backup.error")  # `*.error` stands in the default, of old
_NOT_OURS = frozenset({"NOTIFY_SOCKET"})  # systemd's
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

    `kind` says how they are read: `log`, `status`, `heartbeat`, or `docker`, where `container` stands for the path.
    """

    path: str
    job: str | None = None
    operation: str | None = None
    kind: str = "log"
    container: str = ""


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


def _key(text: str) -> Secret:
    if not _KEY.match(text):
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


def _known_events(chosen: EventFilter) -> EventFilter:
    """Leave out what no event can match; where nothing is left, the default stands in."""
    unknown = unknown_patterns(chosen.patterns, _MATCHABLE)
    return EventFilter(tuple(pattern for pattern in chosen.patterns if pattern not in unknown) or DEFAULT_EVENTS)


def _expect(text: str) -> tuple[Expectation, ...]:
    return (Expectation("*", "backup", parse_span(text)),)


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(part.strip()) for part in text.split(",") if part.strip())


def _log_format(text: str) -> str:
    word = text.strip().lower()
    if word not in ("text", "json", "logfmt"):
        raise ValueError("must be text, json or logfmt")
    return word


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
    """One setting: its variable, its key in the file, how it is read, what it means, and its default in words."""

    variable: str
    key: str
    read: Callable[[str], object]
    meaning: str
    default: str = ""
    secret: bool = False


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
    Setting("NOTIFY_EVENTS", "events", _events, "event names, `*` allowed", f"`{','.join(DEFAULT_EVENTS)}`"),
    Setting("BORGWATCH_WATCH", "watch", _paths, "directories to watch", "`/watch`"),
    Setting("BORGWATCH_STATE", "state", Path, "directory of the journal", "`/state`"),
    Setting("BORGWATCH_RUN", "run", Path, "directory of the sign of life that `healthcheck` reads", "`/tmp`"),
    Setting("BORGWATCH_RULES", "rules", _paths, "directories with rule files of yours", "`/rules`"),
    Setting("BORGWATCH_EXPECT", "expect", _expect, "tell if no backup succeeded for so long, such as `26h`", "off"),
    Setting("BORGWATCH_STALLED_AFTER", "stalled_after", parse_span, "silence that makes a run stalled", "`24h`"),
    Setting("BORGWATCH_POLL", "poll", parse_span, "how often files are looked at without a hint", "`2s`"),
    Setting("BORGWATCH_INSTANCE", "instance", str.strip, "name of this borgwatch, if several use one NAS", "`main`"),
    Setting("BORGWATCH_KEEP", "keep", parse_span, "how far back the history goes", "`400d`"),
    Setting("BORGWATCH_KEEP_SIZE", "keep_size", _size, "how large the journal may become", "`50MB`"),
    Setting("BORGWATCH_LOG_FORMAT", "log_format", _log_format, "`text`, `json` or `logfmt`", "`text`"),
)  # fmt: skip
"""Every setting there is."""

_BY_VARIABLE = {setting.variable: setting for setting in SETTINGS}
_BY_KEY = {setting.key: setting for setting in SETTINGS}
_FILE_VARIABLES = {f"{setting.variable}_FILE": setting for setting in SETTINGS if setting.secret}


def load(environ: Mapping[str, str]) -> Settings:
    """Read the settings file, then the environment over it."""
    problems: list[str] = []
    values: dict[str, object] = {}
    sources = _read_file(environ, values, problems)
    _read_environment(environ, values, problems)
    settings = _assemble(values, sources)
    problems.extend(_contradictions(settings, "\n".join(problems)))
    if "events" in values:
        values["events"] = _known_events(settings.events)
    return _assemble(values, sources, tuple(map(redact, problems)))


def _read_environment(environ: Mapping[str, str], values: dict[str, object], problems: list[str]) -> None:
    known = {*_BY_VARIABLE, *_FILE_VARIABLES, CONFIG_VARIABLE}
    for variable in sorted(environ):
        if not variable.startswith(_PREFIXES) or variable in _NOT_OURS or variable == CONFIG_VARIABLE:
            continue
        text = _unquoted(environ[variable])
        if variable not in known:
            problems.append(f"{variable}: unknown setting{nearest(variable, known)}")
        elif text and variable in _FILE_VARIABLES:
            _read_secret_file(variable, Path(text), values, problems)
        elif text:
            _take(_BY_VARIABLE[variable], text, variable, values, problems)


def _unquoted(text: str) -> str:
    """Take off the quotes that `docker --env-file` leaves standing."""
    text = text.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _read_secret_file(variable: str, path: Path, values: dict[str, object], problems: list[str]) -> None:
    setting = _FILE_VARIABLES[variable]
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        if _KEY.match(str(path)):
            problems.append(f"{variable}: must name a file; the key itself goes into {setting.variable}")
        else:
            problems.append(f"{variable}: {path} cannot be read: {reason}")
        return
    if not text.strip():
        problems.append(f"{variable}: {path} is empty")
        return
    values[f"{setting.key}_file"] = path
    _take(setting, _unquoted(text), variable, values, problems)


def _take(setting: Setting, text: str, where: str, values: dict[str, object], problems: list[str]) -> None:
    try:
        values[setting.key] = setting.read(text)
    except ValueError as error:
        shown = "" if setting.secret else f" (it is {redact(text)!r})"
        problems.append(f"{where}: {error}{shown}")


def _read_file(environ: Mapping[str, str], values: dict[str, object], problems: list[str]) -> tuple[SourceSetting, ...]:
    named = _unquoted(environ.get(CONFIG_VARIABLE, ""))
    path = Path(named) if named else DEFAULT_CONFIG
    if not named and not path.exists():
        return ()
    document = Document.load(path)
    sources: tuple[SourceSetting, ...] = ()
    if document.root is not None:
        keys = {setting.key.partition(".")[0] for setting in SETTINGS} | {"sources"}
        for key, node in document.mapping(document.root, "the settings file", keys).items():
            if key == "sources":
                sources = _sources(document, node)
            elif key == "truenas":
                inner = {setting.key.partition(".")[2] for setting in SETTINGS if setting.key.startswith("truenas.")}
                for name, value in document.mapping(node, "truenas", inner).items():
                    _take_node(document, f"truenas.{name}", value, values)
            elif key == "expect" and isinstance(node, SequenceNode):
                values["expect"] = read_expectations(document, node)
            else:
                _take_node(document, key, node, values)
    problems.extend(document.problems)
    return sources


def _take_node(document: Document, key: str, node: Node, values: dict[str, object]) -> None:
    """Take a value from the file: text, or a list where commas would stand in the environment."""
    setting = _BY_KEY[key]
    is_list = isinstance(node, SequenceNode) and setting.read in (_events, _paths)
    nodes = document.items(node, key) if is_list else (node,)
    texts = [text for item in nodes if (text := document.text(item, key)) is not None]
    problems: list[str] = []
    if texts:
        _take(setting, ",".join(texts), key, values, problems)
    for problem in problems:
        document.fault(node, problem)


def _sources(document: Document, node: Node) -> tuple[SourceSetting, ...]:
    sources = (_source(document, item) for item in document.items(node, "sources"))
    return tuple(source for source in sources if source is not None)


_NEEDED = {
    "path": "a glob below a watched directory",
    "container": "the name of a container or of its Compose service, * allowed",
}


def _source(document: Document, node: Node) -> SourceSetting | None:
    entries = document.mapping(node, "a source", ("kind", "path", "container", "job", "operation"))
    kind = document.choice(entries["kind"], "kind", SOURCE_KINDS) if "kind" in entries else "log"
    if kind is None:
        return None
    needed, other = ("container", "path") if kind == "docker" else ("path", "container")
    if other in entries:
        document.fault(entries[other], f"{other} is not for a source of kind {kind}: say {needed}:")
        return None
    if needed not in entries:
        document.fault(node, f"a source must say {needed}: ({_NEEDED[needed]})")
        return None
    texts = {key: document.text(value, key) or "" for key, value in entries.items() if key not in ("kind", "operation")}
    if kind != "docker" and not PurePath(texts["path"]).name:
        document.fault(entries["path"], "path must be a glob such as nas/*.log")
        return None
    operation = None
    if "operation" in entries:
        operation = document.choice(entries["operation"], "operation", (*OPERATIONS, "other"))
    return SourceSetting(texts.get("path", ""), texts.get("job") or None, operation, kind, texts.get("container", ""))


def _contradictions(settings: Settings, said: str) -> list[str]:
    """Find what is wrong although each value for itself is right, unless it was `said` already."""
    problems = []
    truenas = settings.truenas
    if truenas.enabled and truenas.address is None and not re.search(r"NOTIFY_TRUENAS_API_URL|truenas\.url", said):
        problems.append("NOTIFY_TRUENAS_API_URL: missing; it is needed with NOTIFY_TRUENAS_ENABLED=true: wss://<host>")
    needs_key = truenas.enabled and not (truenas.address is not None and truenas.address.unix)
    if needs_key and truenas.key is None and not re.search(r"NOTIFY_TRUENAS_API_KEY|truenas\.key", said):
        problems.append(
            "NOTIFY_TRUENAS_API_KEY: missing; it is needed with NOTIFY_TRUENAS_ENABLED=true"
            " (or NOTIFY_TRUENAS_API_KEY_FILE)"
        )
    problems.extend(
        f"NOTIFY_EVENTS: no event is called {pattern!r}{nearest(pattern, EVENT_NAMES)}"
        for pattern in unknown_patterns(settings.events.patterns, _MATCHABLE)
    )
    return problems


def _assemble(
    values: Mapping[str, Any], sources: tuple[SourceSetting, ...], problems: tuple[str, ...] = ()
) -> Settings:
    truenas = {key.partition(".")[2]: value for key, value in values.items() if key.startswith("truenas.")}
    if "url" in truenas:
        truenas["address"] = truenas.pop("url")
    plain = {key: value for key, value in values.items() if "." not in key}
    return Settings(
        truenas=TrueNASSettings(**truenas),
        sources=sources,
        events_chosen="events" in values,
        problems=problems,
        **plain,
    )
