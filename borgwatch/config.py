"""Reads settings: the environment, a YAML file, and secrets from files, checked before anything runs.

`load` takes the environment as a mapping and returns `Settings`; what is wrong is told in `Settings.problems`, one
clear line each, and the default stands in its place. Commands refuse to run with problems (exit 2); the service
says them and goes on with what is sound.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from borgwatch.model import EVENT_NAMES, OPERATIONS
from borgwatch.policy.alerts import DEFAULT_EVENTS, EventFilter, unknown_patterns
from borgwatch.policy.expectations import read_expectations
from borgwatch.redact import redact
from borgwatch.settings import SETTINGS, SOURCE_KINDS, Setting, Settings, SourceSetting, TrueNASSettings, is_key
from borgwatch.yamltree import Document, Node, SequenceNode, nearest

__all__ = ["load"]

CONFIG_VARIABLE = "BORGWATCH_CONFIG"
DEFAULT_CONFIG = Path("/config/borgwatch.yaml")
_PREFIXES = ("BORGWATCH_", "NOTIFY_")
_MATCHABLE = (*EVENT_NAMES, "backup.error")  # `*.error` stands in the default, of old
_NOT_OURS = frozenset({"NOTIFY_SOCKET"})  # systemd's

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
        if is_key(str(path)):
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
    problems.extend(document.in_order())
    return sources


def _take_node(document: Document, key: str, node: Node, values: dict[str, object]) -> None:
    """Take a value from the file: text, or a list where commas would stand in the environment."""
    setting = _BY_KEY[key]
    is_list = isinstance(node, SequenceNode) and setting.many
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


_NAMED_BY = {"docker": "container", "truenas-app": "app"}
_NEEDED = {
    "path": "a glob below a watched directory",
    "container": "the name of a container or of its Compose service, * allowed",
    "app": "the name of an app of TrueNAS",
}


def _source(document: Document, node: Node) -> SourceSetting | None:
    entries = document.mapping(node, "a source", ("kind", *_NEEDED, "service", "job", "operation"))
    kind = document.choice(entries["kind"], "kind", SOURCE_KINDS) if "kind" in entries else "log"
    if kind is None:
        return None
    needed = _NAMED_BY.get(kind, "path")
    others = [key for key in (*_NEEDED, "service") if key in entries and key != needed]
    for other in others:
        if other != "service" or kind != "truenas-app":
            document.fault(entries[other], f"{other} is not for a source of kind {kind}: say {needed}:")
            return None
    if needed not in entries:
        document.fault(node, f"a source must say {needed}: ({_NEEDED[needed]})")
        return None
    texts = {key: document.text(value, key) or "" for key, value in entries.items() if key not in ("kind", "operation")}
    if needed == "path" and not PurePath(texts["path"]).name:
        document.fault(entries["path"], "path must be a glob such as nas/*.log")
        return None
    operation = None
    if "operation" in entries:
        operation = document.choice(entries["operation"], "operation", (*OPERATIONS, "other"))
    names = {key: texts.get(key, "") for key in ("container", "app", "service")}
    return SourceSetting(texts.get("path", ""), texts.get("job") or None, operation, kind, **names)


def _known_events(chosen: EventFilter) -> EventFilter:
    """Leave out what no event can match; where nothing is left, the default stands in."""
    unknown = unknown_patterns(chosen.patterns, _MATCHABLE)
    return EventFilter(tuple(pattern for pattern in chosen.patterns if pattern not in unknown) or DEFAULT_EVENTS)


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
    apps = [source.app for source in settings.sources if source.kind == "truenas-app"]
    if apps and not truenas.enabled:
        problems.append(
            f"sources: the output of the app {apps[0]!r} is read over the connection to TrueNAS:"
            " set NOTIFY_TRUENAS_ENABLED=true, with its address and key"
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
