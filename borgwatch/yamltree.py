"""YAML files that users write, read so that every fault is found and shown with its place.

Text comes in; a `Document` leaves, whose nodes are read by the asking functions below (`mapping`, `text`,
`choice`, ...). They never raise: a fault is noted as `file:line:column: what is wrong` in `Document.problems`,
and reading goes on, so that a person sees all faults of a file at once. What a scalar means is decided by the
asker: `on`, `no` or `12:30` stay the text that was written where text is wanted.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import yaml

from borgwatch.spans import parse_span

__all__ = ["Document", "Node", "ScalarNode", "SequenceNode", "moved_to", "nearest"]

Node = yaml.Node
ScalarNode = yaml.ScalarNode
SequenceNode = yaml.SequenceNode
T = TypeVar("T")

_MAX_BYTES = 1 << 20
_MAX_NODES = 50_000
_MAX_DEPTH = 50
_INTEGER = re.compile(r"-?[0-9]{1,18}\Z")
_MAX_SHOWN = 40  # more known words than these are not listed in a message
_PLACE = re.compile(r":(\d+):(\d+):")
_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})


def nearest(word: str, known: Collection[str]) -> str:
    """Name the known word that `word` was probably meant to be: ` (did you mean 'x'?)`, or all, or nothing."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f" (did you mean {close[0]!r}?)"
    return f" (known: {', '.join(sorted(known))})" if known and len(known) <= _MAX_SHOWN else ""


def moved_to(node: Node, place: Node) -> Node:
    """Copy a node as if all of it stood at `place`: faults in what was taken from elsewhere are told there."""
    where = place.start_mark, place.end_mark
    if isinstance(node, yaml.MappingNode):
        pairs = [(moved_to(key, place), moved_to(value, place)) for key, value in node.value]
        return yaml.MappingNode(node.tag, pairs, *where)
    if isinstance(node, yaml.SequenceNode):
        return yaml.SequenceNode(node.tag, [moved_to(item, place) for item in node.value], *where)
    return yaml.ScalarNode(node.tag, node.value, *where)


@dataclass(slots=True)
class Document:
    """One YAML file: its name for messages, its root node (None where it is empty or broken), its problems."""

    name: str
    root: Node | None = None
    problems: list[str] = field(default_factory=list)
    _told: set[str] = field(default_factory=set)

    @classmethod
    def parse(cls, text: str, name: str) -> Document:
        """Parse `text`; a syntax error is the document's one problem."""
        document = cls(name)
        if len(text) > _MAX_BYTES:
            document.problems.append(f"{name}:1:1: the file is larger than {_MAX_BYTES >> 20} MiB")
            return document
        try:
            document.root = _compose(text)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
            document.problems.append(f"{name}:{place}: not valid YAML: {error.problem or error.context}")
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            document.problems.append(f"{name}:1:1: not valid YAML: {str(error).splitlines()[0]}")
        if document.root is not None:
            document._refuse_aliases()
        return document

    @classmethod
    def load(cls, path: Path) -> Document:
        """Read and parse a file; that it cannot be read is its one problem."""
        try:
            with path.open(encoding="utf-8-sig") as file:
                return cls.parse(file.read(_MAX_BYTES + 1), str(path))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            return cls(str(path), problems=[f"{path}:1:1: cannot be read: {reason}"])

    def _refuse_aliases(self) -> None:
        """Aliases could make a small file unfold without end; nothing here needs them."""
        seen: set[int] = set()
        pending = [self.root] if self.root is not None else []
        while pending:
            node = pending.pop()
            if id(node) in seen or len(seen) > _MAX_NODES:
                self.fault(node, "aliases (&name, *name) and files of this size are not supported: write it out")
                self.root = None
                return
            seen.add(id(node))
            if isinstance(node, yaml.MappingNode):
                pending.extend(part for pair in node.value for part in pair)
            elif isinstance(node, yaml.SequenceNode):
                pending.extend(node.value)

    def fault(self, node: Node | None, what: str) -> None:
        """Note that something is wrong at `node`."""
        mark = node.start_mark if node is not None else None
        place = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
        problem = f"{self.name}:{place}: {what}"
        if problem not in self._told:  # what is read for several rules is told once
            self._told.add(problem)
            self.problems.append(problem)

    def place(self, node: Node) -> str:
        """Say where a node stands: `file:line:column`."""
        return f"{self.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"

    def require(self, node: Node, entries: Collection[str], keys: Iterable[str], what: str) -> None:
        """Note each of `keys` that is missing in the `entries` of `node`."""
        for key in keys:
            if key not in entries:
                self.fault(node, f"{what} must say {key}:")

    def in_order(self) -> list[str]:
        """List the problems from the top of the file to its end."""
        return sorted(self.problems, key=lambda problem: [int(n) for n in _PLACE.findall(problem[len(self.name) :])[0]])

    # -- asking nodes for what they should be ---------------------------------------------------------------

    def mapping(self, node: Node | None, what: str, known: Collection[str] | None = None) -> dict[str, Node]:
        """Read a mapping with text keys; unknown and doubled keys are faults. `known` None takes any key."""
        if not isinstance(node, yaml.MappingNode):
            self.fault(node, f"{what} must be a mapping (key: value), not {_kind(node)}")
            return {}
        entries: dict[str, Node] = {}
        for key_node, value in node.value:
            key = self.text(key_node, f"a key of {what}")
            if key is None:
                continue
            if known is not None and key not in known:
                self.fault(key_node, f"unknown key {key!r} in {what}{nearest(key, known)}")
            elif key in entries:
                self.fault(key_node, f"key {key!r} stands twice in {what}")
            else:
                entries[key] = value
        return entries

    def items(self, node: Node, what: str) -> Iterator[Node]:
        """Read a list; anything else is a fault and gives nothing."""
        if isinstance(node, yaml.SequenceNode):
            yield from node.value
        else:
            self.fault(node, f"{what} must be a list, not {_kind(node)}")

    def one_or_many(self, node: Node, read: Callable[[Node], T | None]) -> tuple[T, ...]:
        """Read a single value or a list of such values."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        return tuple(value for item in nodes if (value := read(item)) is not None)

    def text(self, node: Node, what: str) -> str | None:
        """Read a scalar as the text that was written."""
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        self.fault(node, f"{what} must be text, not {_kind(node)}")
        return None

    def boolean(self, node: Node, what: str) -> bool | None:
        """Read `true` or `false` (also yes, no, on, off)."""
        word = node.value.lower() if isinstance(node, yaml.ScalarNode) else ""
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        self.fault(node, f"{what} must be true or false, not {_kind(node)}")
        return None

    def integer(self, node: Node, what: str) -> int | None:
        """Read a whole number."""
        if isinstance(node, yaml.ScalarNode) and _INTEGER.match(node.value):
            return int(node.value)
        self.fault(node, f"{what} must be a whole number, not {_kind(node)}")
        return None

    def span(self, node: Node, what: str) -> timedelta | None:
        """Read a span of time such as `26h`."""
        text = self.text(node, what)
        try:
            return parse_span(text) if text is not None else None
        except ValueError as error:
            self.fault(node, f"{what} {error} (it is {text!r})")
            return None

    def choice(self, node: Node, what: str, options: Collection[str]) -> str | None:
        """Read one of a few words."""
        word = self.text(node, what)
        if word is not None and word not in options:
            self.fault(node, f"{what} cannot be {word!r}{nearest(word, options)}")
            return None
        return word


class _TooDeepError(yaml.MarkedYAMLError):
    """More levels than anybody writes by hand."""


def _compose(text: str) -> Node | None:
    """Make nodes of text with libyaml, which is ten times as fast; what it refuses, PyYAML's own parser explains.

    The composers recurse, and libyaml's without a limit, so the depth is looked at first.
    """
    if yaml.__with_libyaml__:
        try:
            _refuse_depth(text, yaml.CSafeLoader)
            return yaml.compose(text, Loader=yaml.CSafeLoader)
        except _TooDeepError:
            raise
        except (yaml.YAMLError, ValueError):
            pass
    _refuse_depth(text, yaml.SafeLoader)
    return yaml.compose(text, Loader=yaml.SafeLoader)


def _refuse_depth(text: str, loader: type[yaml.SafeLoader | yaml.CSafeLoader]) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            at = event.start_mark
            mark = yaml.Mark("", 0, at.line, at.column, None, 0) if at else None
            raise _TooDeepError(problem=f"nested more than {_MAX_DEPTH} levels deep", problem_mark=mark)


def _kind(node: Node | None) -> str:
    if isinstance(node, yaml.ScalarNode):
        return f"{node.value!r}" if node.value else "nothing"
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    return "a list" if isinstance(node, yaml.SequenceNode) else "nothing"
