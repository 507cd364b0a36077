"""YAML files that users write, read so that every fault is found and shown with its place.

Text comes in; a `Document` leaves, whose nodes are read by the asking functions below (`mapping`, `text`,
`choice`, ...). They never raise: a fault is noted as `file:line:column: what is wrong` in `Document.problems`,
and reading goes on, so that a person sees all faults of a file at once. What a scalar means is decided by the
asker: `on`, `no` or `12:30` stay the text that was written where text is wanted.

A file can be wrong in every word: of its faults the first fifty are told, the others are only counted, and cost no
search for what may have been meant.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
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
_TOO_LARGE = f"the file is larger than {_MAX_BYTES >> 20} MiB"
_MAX_NODES = 50_000
_MAX_DEPTH = 50
_INTEGER = re.compile(r"-?[0-9]{1,18}\Z")
_MAX_SHOWN = 40  # more known words than these are not listed in a message
_MAX_TOLD = 50  # faults of one file
_MAX_COMPARED = 1000  # known words, and letters of the unknown one
_PLACE = re.compile(r":(\d+):(\d+):")
_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})


def nearest(word: str, known: Collection[str]) -> str:
    """Name the known word that `word` was probably meant to be: ` (did you mean 'x'?)`, or all, or nothing."""
    spelt = {name.casefold(): name for name in islice(known, _MAX_COMPARED)}
    close = difflib.get_close_matches(word.casefold()[:_MAX_COMPARED], spelt, n=1, cutoff=0.6)
    if close:
        return f" (did you mean {spelt[close[0]]!r}?)"
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
    """One YAML file: its name for messages, its root node (None where it is empty or broken), its problems.

    `problems` holds the first of the faults that were found, `faults` how many there are.
    """

    name: str
    root: Node | None = None
    problems: list[str] = field(default_factory=list)
    _found: set[str] = field(default_factory=set)

    @classmethod
    def parse(cls, text: str, name: str) -> Document:
        """Parse `text`; a syntax error is the document's one problem."""
        document = cls(name)
        if len(text) > _MAX_BYTES:
            document.problems.append(f"{name}:1:1: {_TOO_LARGE}")
            return document
        try:
            document.root = _compose(text)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
            what = "" if isinstance(error, _RefusedError) else "not valid YAML: "
            document.problems.append(f"{name}:{place}: {what}{error.problem or error.context}")
        except yaml.reader.ReaderError as error:
            before = text[: error.position]
            place = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
            document.problems.append(f"{name}:{place}: not valid YAML: {str(error).splitlines()[0]}")
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            document.problems.append(f"{name}:1:1: not valid YAML: {str(error).splitlines()[0]}")
        return document

    @classmethod
    def load(cls, path: Path) -> Document:
        """Read and parse a file; that it cannot be read is its one problem."""
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
        except OSError as error:
            return cls(str(path), problems=[f"{path}:1:1: cannot be read: {error.strerror}"])
        if len(data) > _MAX_BYTES:
            return cls(str(path), problems=[f"{path}:1:1: {_TOO_LARGE}"])
        try:
            return cls.parse(data.decode("utf-8-sig"), str(path))
        except UnicodeDecodeError as error:
            before = error.object[: error.start]
            place = f"{before.count(10) + 1}:{len(before) - before.rfind(10)}"
            return cls(str(path), problems=[f"{path}:{place}: cannot be read: not UTF-8 text"])

    def fault(self, node: Node | None, what: str) -> None:
        """Note that something is wrong at `node`."""
        mark = node.start_mark if node is not None else None
        place = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
        problem = f"{self.name}:{place}: {' '.join(what.splitlines())}"
        if problem not in self._found and not self.is_full:
            self.problems.append(problem)
        self._found.add(problem)  # what is read for several rules is one fault

    @property
    def faults(self) -> int:
        """How many faults were found."""
        return max(len(self.problems), len(self._found))

    @property
    def is_full(self) -> bool:
        """Whether so many faults are known that no other one will be told: what looks for them need not try hard."""
        return len(self.problems) >= _MAX_TOLD

    def nearest(self, word: str, known: Collection[str]) -> str:
        """Name the known word that was probably meant, as `nearest` does; nothing where it will not be told."""
        return "" if self.is_full else nearest(word, known)

    def place(self, node: Node) -> str:
        """Say where a node stands: `file:line:column`."""
        return f"{self.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"

    def require(self, node: Node, entries: Collection[str], keys: Iterable[str], what: str) -> None:
        """Note each of `keys` that is missing in the `entries` of `node`."""
        for key in keys:
            if key not in entries:
                self.fault(node, f"{what} must say {key}:")

    def in_order(self) -> list[str]:
        """List the problems from the top of the file to its end, and how many more there are."""
        places = {problem: _PLACE.findall(problem[len(self.name) :])[0] for problem in self.problems}
        told = sorted(self.problems, key=lambda problem: tuple(map(int, places[problem])))
        if (more := self.faults - len(told)) > 0:
            told.append(f"{self.name}:{':'.join(places[told[-1]])}: and {more} more faults in this file")
        return told

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
                self.fault(key_node, f"unknown key {key!r} in {what}{self.nearest(key, known)}")
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
            self.fault(node, f"{what} cannot be {word!r}{self.nearest(word, options)}")
            return None
        return word


class _RefusedError(yaml.MarkedYAMLError):
    """What YAML knows and a rule or settings file may not hold."""


def _compose(text: str) -> Node | None:
    """Make nodes of text with libyaml, which is ten times as fast; what it refuses, PyYAML's own parser explains.

    The composers recurse, and libyaml's without a limit; they forget tags and names; and aliases make a small file
    unfold without end. So all of that is looked for first.
    """
    if yaml.__with_libyaml__:
        try:
            _look_through(text, yaml.CSafeLoader)
            return yaml.compose(text, Loader=yaml.CSafeLoader)
        except _RefusedError:
            raise
        except (yaml.YAMLError, ValueError):
            pass
    _look_through(text, yaml.SafeLoader)
    return yaml.compose(text, Loader=yaml.SafeLoader)


def _look_through(text: str, loader: type[yaml.SafeLoader | yaml.CSafeLoader]) -> None:
    depth = nodes = 0
    for event in yaml.parse(text, Loader=loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        nodes += isinstance(event, yaml.NodeEvent)
        if depth > _MAX_DEPTH:
            raise _refused(event, f"nested more than {_MAX_DEPTH} levels deep")
        if nodes > _MAX_NODES:
            raise _refused(event, f"it holds more than {_MAX_NODES} keys and values: make several files of it")
        if getattr(event, "anchor", None) is not None:
            raise _refused(event, "aliases (&name, *name) are not supported: text that begins so stands in quotes")
        if getattr(event, "tag", None) is not None:
            raise _refused(event, "tags (!name) are not supported: text that begins with ! stands in quotes")


def _refused(event: yaml.Event, why: str) -> _RefusedError:
    at = event.start_mark
    return _RefusedError(problem=why, problem_mark=yaml.Mark("", 0, at.line, at.column, None, 0) if at else None)


def _kind(node: Node | None) -> str:
    if isinstance(node, yaml.ScalarNode):
        return f"{node.value!r}" if node.value else "nothing"
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    return "a list" if isinstance(node, yaml.SequenceNode) else "nothing"
