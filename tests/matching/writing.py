"""Rules and lines at random: all that a rule can ask, and the ways in which a line can be written."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from hypothesis import strategies as st

from borgwatch.matching.conditions import AllOf, AnyOf, Condition, FieldTest, Not, field_value
from borgwatch.matching.patterns import Pattern, PatternError
from borgwatch.matching.rules import Rule
from borgwatch.model import Line, Outcome, Phase, Position, Record

__all__ = ["borg_lines", "conditions", "fitting_tests", "in_docker", "line_of", "lines", "rules"]

READ_AT = datetime(2026, 11, 23, tzinfo=UTC)

# Few words, so that rules and lines often meet; with the letters that have a second spelling.
WORDS = (
    "task", "TASK", "pass", "Paß", "Straße", "STRASSE", "kiss", "file", "fi", "st", "disk full", "No space left",
    "rc 2", "error", "ERROR", "critical", "warning", "borg.archiver", "root", "E", "C", "A", "true", "5", "10.0", "1e1",
    "inf", 'say "no"', "a/b", "/mnt/tank/task", "c\\d", "tab\there", "two\nlines", "é", "naïve", "", " ", "file_status",
    "x", "LockTimeout", "Repository /r does not exist.", "terminating with error status, rc 2", "\u0131nfo", "\udcff",
    "\N{KELVIN SIGN}elvin", "ta\N{LATIN SMALL LETTER LONG S}k", "\N{LATIN SMALL LIGATURE FI}le", "\x1b[1mtask\x1b[0m",
    "ta\x00sk", "\ufefftask",
)  # fmt: skip
FIELDS = (
    "text",
    "text",
    "text",
    "level",
    "logger",
    "job",
    "source",
    "type",
    "status",
    "msgid",
    "path",
    "a.b",
    "n",
    "é",
)
KEYS = ("message", "msg", "levelname", "level", "name", "type", "status", "msgid", "path", "a", "b", "n", "é", "time")
OPERATIONS = ("backup", "prune", "verify", None)

ATOMS = (
    r"\d", r"\w", r"\s", ".", "[a-z]", "[^/]", "[EC]", r"[\d.]", "[ -~]", r"\.", "(?i)", r"\b", "^", "$", "{,2}", "é",
    r"\pL", "[[:alpha:]]", r"\x41", r"\Qa.b\E",
)  # fmt: skip
# What a character in a pattern may become, so that it still matches: {} is the character.
SHAPES = (
    *["{}"] * 8, ".", "({})", "[{}x]", "{}+", "(?:{}|zz)", "{}?", "(?i:{})", "{}{{1}}", "z*{}", "[^~]", "{}zz?z*",
    "{}(?:task)?", "{}q{{0}}", "(?P<g>{}|y)", r"\w|{}", "(?i){}",
)  # fmt: skip

words = st.sampled_from(WORDS)
texts = st.lists(words, min_size=1, max_size=3).map("".join)


@st.composite
def _patterns(draw: st.DrawFn) -> Pattern:
    """Patterns of all that RE2 knows, most of them of words that lines hold."""
    atoms = st.sampled_from(ATOMS)
    literals = st.sampled_from(
        ["task", "pass", "disk full", "error", "rc ", "E", "k", "s", "fi", "a/b", 'say "', "No space"]
    )
    piece = st.one_of(literals, literals, atoms)
    repeated = st.tuples(piece, st.sampled_from(["", "", "", "?", "*", "+", "{2}", "{0,1}", "*?"])).map("".join)
    sequence = st.lists(repeated, min_size=1, max_size=3).map("".join)
    choice = st.lists(sequence, min_size=1, max_size=3).map("|".join)
    group = st.tuples(st.sampled_from(["(", "(?:", "(?P<g>", "(?i:"]), choice, st.sampled_from([")", ")?", ")+"])).map(
        "".join
    )
    source = st.lists(st.one_of(sequence, group), min_size=1, max_size=3).map("".join)
    begins = st.sampled_from(["", "", "^", r"\A", "(?i)^", "(?m)^"])
    for _ in range(5):
        try:
            return Pattern(draw(begins) + draw(source))
        except PatternError:
            continue
    return Pattern("task")


@st.composite
def _tests(draw: st.DrawFn) -> FieldTest:
    field = draw(st.sampled_from(FIELDS))
    comparison = draw(
        st.sampled_from(
            ["is", "in", "startswith", "endswith", "contains", "re", "re", "exists", "gt", "gte", "lt", "lte"]
        )
    )
    cased = draw(st.booleans())
    if comparison == "re":
        return FieldTest(field, comparison, tuple(draw(st.lists(_patterns(), min_size=1, max_size=2))))
    if comparison == "exists":
        return FieldTest(field, comparison, (draw(st.sampled_from(["true", "false"])),))
    if comparison in ("gt", "gte", "lt", "lte"):
        return FieldTest(field, comparison, (draw(st.sampled_from(["0", "5", "1e3", "WARNING"])),))
    return FieldTest(field, comparison, tuple(draw(st.lists(texts, min_size=1, max_size=2))), cased)


conditions: st.SearchStrategy[Condition] = st.recursive(
    _tests(),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: AllOf(tuple(parts))),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: AnyOf(tuple(parts))),
        inner.map(Not),
    ),
    max_leaves=5,
)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    """A rule of any kind, of any operation."""
    phase = draw(st.sampled_from([Phase.START, Phase.DETAIL, Phase.DETAIL, Phase.END]))
    outcome = st.sampled_from([Outcome.SUCCESS, Outcome.WARNING, Outcome.FAILURE])
    return Rule(
        id=f"r.{draw(st.integers(0, 5))}",
        place="random",
        when=draw(conditions),
        phase=phase,
        operation=draw(st.sampled_from(OPERATIONS)),
        outcome=draw(outcome if phase is Phase.END else st.one_of(st.none(), outcome)),
        weight=draw(st.sampled_from([0, 5])),
    )


def _varied(draw: st.DrawFn, text: str) -> str:
    """Write a text in another case, or with other letters for the same ones."""
    return draw(
        st.sampled_from([text, text, text.upper(), text.lower(), text.casefold(), text.swapcase(), text.title()])
    )


def _pattern_of(draw: st.DrawFn, text: str) -> str:
    """Make a pattern that is likely to match a text: character by character, as itself or as one of many."""
    parts = []
    for char in text:
        quoted = re.escape(char) if char.isascii() and char.isprintable() else "."
        parts.append(draw(st.sampled_from(SHAPES)).format(quoted))
    return "".join(parts)


@st.composite
def fitting_tests(draw: st.DrawFn, record: Record) -> FieldTest:
    """A test that is made to hold of a record, though sometimes it does not."""
    known = {name: field_value(record, name) for name in ("text", "level", "logger", *record.fields)}
    field = draw(st.sampled_from([name for name in sorted(known) if known[name] is not None]))
    value = known[field]
    text = str(value).lower() if isinstance(value, bool) else str(value)
    start = draw(st.integers(0, max(0, len(text) - 1)))
    end = draw(st.integers(start, len(text)))
    comparison = draw(
        st.sampled_from(["is", "in", "startswith", "endswith", "contains", "re", "re", "re", "exists", "gte"])
    )
    if comparison == "exists":
        return FieldTest(field, comparison, ("true",))
    if comparison == "gte":
        return FieldTest(field, comparison, ("-1000",))
    if comparison == "re":
        begin = draw(st.sampled_from(["", "", "^", "^", r"\A", "(?i)", "(?i)^", "(?m)^"]))
        part = text[:end] if "^" in begin or "A" in begin else text[start:end]
        try:
            return FieldTest(field, comparison, (Pattern(begin + _pattern_of(draw, part)),))
        except PatternError:
            return FieldTest(field, "exists", ("true",))
    part = {"startswith": text[:end], "endswith": text[start:], "contains": text[start:end]}.get(comparison, text)
    cased = draw(st.booleans())
    return FieldTest(field, comparison, (part if cased else _varied(draw, part),), cased)


# --- lines ----------------------------------------------------------------------------------------------------------

values = st.one_of(texts, texts, st.integers(-5, 2000), st.floats(allow_nan=False, width=32), st.booleans(), st.none())
objects = st.dictionaries(st.sampled_from(KEYS), st.one_of(values, st.dictionaries(st.sampled_from(KEYS), values)))


@st.composite
def _json(draw: st.DrawFn) -> bytes:
    """An object in any spelling that JSON allows."""
    made = json.dumps(
        draw(objects), ensure_ascii=draw(st.booleans()), separators=draw(st.sampled_from([None, (",", ":")]))
    )
    for char in draw(st.lists(st.sampled_from("aeskTE/"), max_size=2)):
        made = made.replace(char, "\\/" if char == "/" else draw(st.sampled_from([char, f"\\u{ord(char):04x}"])))
    return made.encode("utf-8", "surrogatepass")


PREFIXES = (
    b"2026-11-23T05:03:10.164123456Z ", b"2026-11-23 05:03:10\t", b"2026-11-23 05:03:10 [task] ", b"[05:03:10] ",
    b"Nov 23 05:03:10 nas borg[4711]: ", b"<30>1 2026-11-23T05:03:10Z nas borg 4711 - - ", b"ERROR:borg.archiver:",
    b"2026-11-23T05:03:10.164123456Z stderr F ", b"borg-1  | ", b"[borg] ", b"@4000000065a1b2c30a1b2c3d ",
    b"1795410165.5 ", b"2026-11-23 05:03:10,164 - vorta.scheduler - ERROR - ", b"Mon Nov 23 05:03:10 UTC 2026: ",
    b"Mon 2026-11-23 05:03:10 UTC nas borg[4711]: ",
)  # fmt: skip
_glue = st.sampled_from(
    [b"", b"", b"", b"Enter passphrase: ", b"10%\r", b"\xef\xbb\xbf", b"\x1b[0m", b"\xff", b"A ", b'{"', *PREFIXES]
)
_text = st.one_of(texts, texts.map(lambda text: f"A /{text}"), texts.map(lambda text: f"E /mnt/{text}"))
_plain = _text.map(lambda text: text.encode("utf-8", "surrogatepass"))
_logfmt = texts.map(lambda text: f'time="2026-11-23T05:03:10Z" level=info msg={json.dumps(text)} channel=x'.encode())
_other = st.one_of(st.binary(max_size=20), texts.map(lambda text: text.encode("utf-16", "surrogatepass")))
lines: st.SearchStrategy[bytes] = (
    st.tuples(_glue, st.one_of(_json(), _json(), _plain, _plain, _other, _logfmt))
    .map(b"".join)
    .map(lambda data: data.replace(b"\n", b" "))
)
"""Lines of any kind, without their ends."""


MURMUR = (
    '{"type": "file_status", "status": "A", "path": "PATH"}',
    '{"nfiles": 1, "path": "PATH", "time": TIME, "type": "archive_progress", "finished": false}',
    "A PATH",
)
LISTED = (
    '{"type": "file_status", "status": "d", "path": "DIRECTORY"}',
    '{"type": "file_status", "status": "d", "path": "DIRECTORY", "x": "/////////"}',
    '{"path": "DIRECTORY", "status": "d", "type": "file_status"}',
    "d DIRECTORY",
    "nas borg[7]: d DIRECTORY",
    "A PATH",
    "A DIRECTORY/x",
)
DIRECTORIES = (
    "/", "/mnt", "/mnt/", "/mnt/a", "/mnt/a/b", "//mnt//a", "/mnt/a/b/c/d/e/f/g/h/i", "mnt/a/TOKEN=a/b/c", "mnt",
    'mnt/q"/x',
)  # fmt: skip
MESSAGES = tuple(
    f'{{"type": "log_message", "time": TIME, "levelname": "{level}", "name": "{logger}", "message": "{message}"}}'
    for level, logger, message in (
        ("ERROR", "borg.archiver", "something odd"),
        ("INFO", "borg.output.list", "Keeping archive: x"),
        ("INFO", "borg.output.show-rc", "terminating with success status, rc 0"),
        ("ERROR", "borg.output.show-rc", "terminating with error status, rc 2"),
    )
)
PLAIN_MESSAGES = (
    "terminating with success status, rc 0",
    "terminating with error status, rc 2",
    "Compacting segments  50%",
)
WORDS_OF_BORG = (
    '{"type": "file_status", "status": "E", "path": "PATH"}',
    '{"type": "progress_message", "msgid": "cache", "message": "PATH", "time": TIME}',
    'Creating archive at "/r::a"',
    "1.00 MB O 1.00 MB C 1.00 MB D 1 N mnt/a",
    "Failed to create/acquire the lock /r (timeout).",
    "nothing of note",
)


@st.composite
def borg_lines(draw: st.DrawFn) -> list[bytes]:
    """A log like Borg's: much murmur, now and then a line that matters, clocks that stand, run or leap."""
    time, found = 1795409811.0, []
    for _ in range(draw(st.integers(0, 40))):
        time += draw(st.sampled_from([0, 0, 0.2, 4, 9, 11, 1000, 3000, 90_000]))
        path = draw(
            st.sampled_from(["/mnt/a", "/mnt/task", "/x/file_status", "/m/No space left on device", "/m/Straße"])
        )
        line = draw(st.sampled_from([*MURMUR, *MURMUR, *LISTED, *MESSAGES, *PLAIN_MESSAGES, *WORDS_OF_BORG]))
        repeat = draw(st.sampled_from([1, 1, 3, 20]))
        directory = draw(st.sampled_from(DIRECTORIES))
        written = line.replace("TIME", str(time)).replace("PATH", path).replace("DIRECTORY", directory)
        found += [written.encode()] * repeat
    return found


def in_docker(data: bytes) -> bytes:
    """Write a line as Docker's json-file driver does."""
    log = data.decode("utf-8", "replace") + "\n"
    return json.dumps({"log": log, "stream": "stderr", "time": "2026-11-23T04:56:40.05Z"}, ensure_ascii=False).encode()


def line_of(data: bytes, offset: int = 0) -> Line:
    """Make a line as sources do."""
    return Line("log", data.removesuffix(b"\r"), Position(1, 1, offset), READ_AT)
