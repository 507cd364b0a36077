"""Know the containers whose output Docker's json-file driver keeps: /var/lib/docker/containers/<id>/<id>-json.log.

Which container it is says `config.v2.json` beside the file. A container that was made anew has another id and the
same name: it goes on as the same job. What is in the file is the business of `envelope`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import msgspec

from borgwatch.errors import SourceError
from borgwatch.sources.disk import Stamp, open_file

__all__ = ["Container", "Containers", "Pick", "has_config", "is_json_log"]

_CONFIG = "config.v2.json"
_MAX_CONFIG = 1 << 20
_MAX_KNOWN = 4096
_ID = re.compile(r"[0-9a-f]{64}")
_JSON_LOG = re.compile(r"(?s)(?:.*/)?([0-9a-f]{64})/\1-json\.log")
_RENAMED = re.compile(r"[0-9a-f]{12}_")
"""What Compose puts before the name of a container while it makes it anew."""
_SERVICE = "com.docker.compose.service"


@dataclass(frozen=True, slots=True)
class Container:
    """What `config.v2.json` says of a container: its name without the slash, its Compose service, its image."""

    name: str
    service: str = ""
    image: str = ""


@dataclass(frozen=True, slots=True)
class Pick:
    """A choice of containers: a glob for their name or Compose service; their job and default operation."""

    container: str
    job: str | None = None
    operation: str | None = None

    def fits(self, one: Container) -> bool:
        """Tell whether this is one of the containers."""
        return any(fnmatchcase(name, self.container) for name in (one.name, one.service) if name)


class Containers:
    """Knows the containers by their directories, and which of them are to be followed.

    Without any `picks` those are followed whose name, service or image has "borg" in it.
    """

    def __init__(self, picks: Sequence[Pick] = ()) -> None:
        self._picks = tuple(picks)
        self._known: dict[str, tuple[Stamp, Container]] = {}

    def at(self, directory: str) -> Container | None:
        """Read which container a directory belongs to; None where it is none's.

        Raises `OSError` and `SourceError` where that cannot be read.
        """
        if not has_config(directory):
            return None
        path = os.path.join(directory, _CONFIG)
        try:
            with open_file(path) as file:
                known = self._known.get(directory)
                if known and known[0] == file.stamp:
                    return known[1]
                content, stamp = file.read(0, _MAX_CONFIG), file.stamp
        except FileNotFoundError:
            return None
        container = _container(content, path)
        self._known.pop(directory, None)
        self._known[directory] = stamp, container
        if len(self._known) > _MAX_KNOWN:
            del self._known[next(iter(self._known))]
        return container

    def pick(self, one: Container) -> Pick | None:
        """Say by which choice a container is followed; None where it is not."""
        if self._picks:
            return next((pick for pick in self._picks if pick.fits(one)), None)
        return _ANY_BORG if any("borg" in name.lower() for name in (one.name, one.service, one.image)) else None

    def owner(self, source: str) -> tuple[Container, Pick] | None:
        """Say whose output a source is, also if the container was removed since it was read last."""
        directory = os.path.dirname(source)
        if not is_json_log(source):
            return None
        try:
            one = self.at(directory)
        except (OSError, SourceError):
            one = None
        if one is None and directory in self._known:
            one = self._known[directory][1]
        return (one, self.pick(one) or _ANY_BORG) if one else None


_ANY_BORG = Pick("*")


class _Labelled(msgspec.Struct):
    Image: str = ""
    Labels: dict[str, str] | None = None


class _ConfigFile(msgspec.Struct):
    Name: str = ""
    Config: _Labelled | None = None


def has_config(directory: str) -> bool:
    """Tell whether a directory is a container's: it has an id for a name, and says of which one."""
    named = _ID.fullmatch(os.path.basename(directory)) is not None
    return named and os.path.lexists(os.path.join(directory, _CONFIG))


def is_json_log(path: str) -> bool:
    """Tell whether a path, or the name of a source, is that of a container's output."""
    return _JSON_LOG.fullmatch(path) is not None


def _container(content: bytes, path: str) -> Container:
    try:
        found = msgspec.json.decode(content, type=_ConfigFile)
    except msgspec.MsgspecError as error:
        raise SourceError(f"{path} does not tell which container this is: {error}") from None
    config = found.Config or _Labelled()
    name = _RENAMED.sub("", found.Name.removeprefix("/"), count=1)
    return Container(name, (config.Labels or {}).get(_SERVICE, ""), config.Image)
