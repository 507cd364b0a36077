"""Every recorded log, and what borgwatch must make of it; then the same logs as users have them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from borgwatch.judge import Judge, SourceRole
from borgwatch.matching.load import load_rules
from borgwatch.matching.matcher import Matcher
from borgwatch.model import Event, Line, Position
from borgwatch.runs.machine import Limits
from borgwatch.runs.run import Stream
from borgwatch.sources.envelope import unwrap

DATA = Path(__file__).parent / "data" / "borg-logs"
MORE = Path(__file__).parent / "data" / "more-logs"
READ_AT = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
UNNAMED_OPERATIONS = ("init", "delete", "info", "list", "prune")
NOT_IN_THE_FILE = {
    # The index expects a warning, and its own `exit_code` is 0: Borg had read the file before the writer came to it.
    # The recording is the statistics and "success status, rc 0", not one line at WARNING, as of any good backup. (In
    # the recordings of 1.2.4 and 2.0 of the same name the change was noticed: one line says so, rc is 1 and 100.)
    ("borg-1.1.18", "create-warn-file-changed"): ("backup.success",),
    # The console of a borgmatic that was told to print nothing there (--verbosity -1): no byte. What the run wrote went
    # into its log file, which is the next row of the index, ok-log-file.log-file, and is judged as it expects.
    ("borgmatic-2.1.10", "ok-log-file"): (),
}
"""What two recordings give in place of what the index expects, for what it expects does not stand in them."""
DATE = re.compile(rb"Mon Nov 23 \d\d:\d\d:\d\d UTC 2026")
_DATE_FORMAT = "%a %b %d %H:%M:%S UTC %Y"
JSON_TIME = re.compile(rb'"time": (\d+(?:\.\d+)?)')


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording of the index: its files, the events it must give, what its source stands for."""

    tool: str
    scenario: str
    files: tuple[Path, ...]
    expect: tuple[str, ...]
    operation: str
    only_backup: bool = False

    @property
    def name(self) -> str:
        """What the test is called."""
        return f"{self.tool}/{self.scenario}"

    @property
    def lines(self) -> list[bytes]:
        """The lines of all its files, one file after the other, out of Docker's envelope where they are in one."""
        data = [path.read_bytes() for path in self.files]
        lines = [line for block in data for line in block.removesuffix(b"\n").split(b"\n")]
        return [unwrapped(line) for line in lines] if self.tool == "docker-json-file" else lines

    def told(self, events: Sequence[Event]) -> tuple[str, ...]:
        """The events that the index lists: for runs of several actions only those of the backup."""
        return tuple(event.name for event in events if not self.only_backup or event.operation == "backup")


def unwrapped(line: bytes) -> bytes:
    [out], held = unwrap([Line("", line, Position(0, 0, 0), READ_AT)], b"", len(line))
    assert not held
    return out.data


def _recordings() -> Iterator[Recording]:
    for text in (DATA / "index.jsonl").read_text("utf-8").splitlines():
        entry = json.loads(text)
        if not entry["files"]:
            assert not entry["expect"]
            continue
        unnamed = "nothing that names the command" in entry.get("remark", "")
        operation = entry["operation"] if unnamed or entry["operation"] in UNNAMED_OPERATIONS else "backup"
        expect = tuple(entry["expect"])
        expect = NOT_IN_THE_FILE.get((entry["tool"], entry["scenario"]), expect)
        files = tuple(DATA / name for name in entry["files"].values())
        only_backup = "not listed" in entry.get("remark", "") or entry["scenario"] == "cron-script-json-ok"
        yield Recording(entry["tool"], entry["scenario"], files, expect, operation, only_backup)


def _more_recordings() -> Iterator[Recording]:
    """Logs of other circumstances; their index names every event, in its order."""
    for text in (MORE / "index.jsonl").read_text("utf-8").splitlines():
        entry = json.loads(text)
        files = (MORE / entry["tool"] / f"{entry['scenario']}.log",)
        yield Recording(entry["tool"], f"more/{entry['scenario']}", files, tuple(entry["expect"]), "backup")


INDEXED = tuple(_recordings())
RECORDINGS = (*INDEXED, *_more_recordings())
every_indexed_one = pytest.mark.parametrize("recording", INDEXED, ids=lambda recording: recording.name)
every_recording = pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.name)


@cache
def _matcher() -> Matcher:
    return Matcher(load_rules().rules)


def _judge(recording: Recording) -> Judge:
    return Judge(_matcher(), Limits(), lambda _: SourceRole("nas", recording.operation))


def _lines(data: Sequence[bytes], read_at: datetime = READ_AT, offset: int = 0) -> list[Line]:
    lines = []
    for line in data:
        offset += len(line) + 1
        lines.append(Line("log", line, Position(1, 1, offset), read_at))
    return lines


def _events(recording: Recording, data: Sequence[bytes]) -> tuple[str, ...]:
    judge = _judge(recording)
    judged = judge.lines({}, _lines(data))
    return recording.told(judged.events + judge.finish(judged.streams).events)


def test_the_index_names_every_version() -> None:
    assert {recording.tool for recording in RECORDINGS} == {
        "borg-1.1.18",
        "borg-1.2.4",
        "borg-1.2.9",
        "borg-1.4.5",
        "borg-2.0.0b21",
        "borg-2.0.0b25",
        "borgmatic-1.8.14",
        "borgmatic-2.1.10",
        "cron-script-borg-1.4.5",
        "docker-borg-client-0.6.2",
        "docker-borg-client-0.9",
        "docker-json-file",
        "vorta-0.10.3",
        "vorta-0.11.6",
    }


def test_what_two_rows_expect_does_not_stand_in_their_files() -> None:
    """Should they ever be recorded anew, they must be judged as all others."""
    of = {(one.tool, one.scenario): one for one in INDEXED}
    changed, console, log_file = (
        of["borg-1.1.18", "create-warn-file-changed"],
        of["borgmatic-2.1.10", "ok-log-file"],
        of["borgmatic-2.1.10", "ok-log-file.log-file"],
    )
    levels = {json.loads(line)["levelname"] for line in changed.lines}
    assert (levels, b"success status, rc 0" in changed.lines[-1]) == ({"INFO"}, True)
    assert (console.lines, log_file.expect) == ([b""], ("backup.success",))


@every_recording
def test_a_recording_gives_the_events_of_the_index(recording: Recording) -> None:
    told = _events(recording, recording.lines)
    print(f"{recording.name:58} {', '.join(told) or '-'}")  # noqa: T201 - the table of `pytest -s`

    assert recording.expect == told


def _crlf(lines: list[bytes]) -> list[bytes]:
    return [line + b"\r" for line in lines]


def _blank_lines(lines: list[bytes]) -> list[bytes]:
    return [part for line in lines for part in (b"", line, b"  ")]


def _own_words(lines: list[bytes]) -> list[bytes]:
    """What a script of the user's own, and other programs, say before and after."""
    before = [b"\x1b[1m=== nightly job on nas ===\x1b[0m", b"[2026-11-23 02:00:01] INFO  mounting /mnt/backup ... ok"]
    after = [b"[2026-11-23 02:09:31] INFO  unmounting, exit", b"0 errors, 0 failed so far", b"-- terminating --"]
    noise = [
        b"rsync error: some files could not be transferred (code 23) at main.c(1338)",
        b'{"type": "log_message", "levelname": "ERROR", "name": "rclone", "message": "failed", "time": 1795409741.2}',
        b'{"level": "error", "msg": "terminating with error", "ts": "2026-11-23T02:00:00Z"}',
    ]
    return [*before, *noise, *lines, *noise, *after]


def _list_text(lines: list[bytes]) -> list[bytes]:
    """Names of files, as `--list` prints them in text, that hold the words of Borg's messages."""
    return [
        part
        for line in lines
        for part in (
            (line, *HOSTILE_NAMES) if b"Creating archive at" in line or b"Starting backup" in line else (line,)
        )
    ]


def _list_json(lines: list[bytes]) -> list[bytes]:
    names = [json.dumps({"type": "file_status", "status": "A", "path": n.decode()[2:]}).encode() for n in HOSTILE_NAMES]
    return [part for line in lines for part in ((line, *names) if b"Creating archive at" in line else (line,))]


HOSTILE_NAMES = [
    b"A /mnt/tank/terminating with error status, rc 2",
    b"M /mnt/tank/Repository x does not exist.",
    b"A /mnt/tank/No space left on device",
    b"U /mnt/tank/x: No space left on device",
    b"A /mnt/tank/repository check, errors found",
    b"A /mnt/tank/New missing file chunk detected.log",
    b"A /mnt/tank/Starting repository check",
    b"A /mnt/tank/disk.img: file changed while we backed it up",
    b"d mnt/tank/12:00:00 /Pruning repository",
    b"A /mnt/12:00:00 /Backup finished with errors",
]

VARIATIONS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "CRLF line ends": _crlf,
    "blank lines between": _blank_lines,
    "lines of the user and of other programs around": _own_words,
    "hostile names in a text list": _list_text,
    "hostile names in a JSON list": _list_json,
}


@every_indexed_one
@pytest.mark.parametrize("variation", VARIATIONS)
def test_what_is_not_borgs_changes_nothing(recording: Recording, variation: str) -> None:
    assert recording.expect == _events(recording, VARIATIONS[variation](recording.lines))


WRITTEN_BY = {
    "ts": b"Nov 23 05:02:44 ",
    "ts with a clock": b"05:02:44.123456 ",
    "a container's name": b"[borg-1] ",
    "docker compose logs -t": b"borg-1  | 2026-11-23T05:02:44.123456789Z ",
    "Kubernetes": b"2026-11-23T05:02:44.123456789Z stderr F ",
    "syslog": b"<30>1 2026-11-23T05:02:44.123Z nas borg 4711 - - ",
    "journalctl": b"Nov 23 05:02:44 nas borg-backup[4711]: ",
    "multilog": b"@4000000065a1b2c30a1b2c3d ",
    "a date in brackets": b"[Mon Nov 23 05:02:44 UTC 2026] ",
    "Python's logging": b"INFO:backup:",
}


@pytest.mark.parametrize("writer", WRITTEN_BY)
def test_what_a_writer_puts_before_each_line_changes_nothing(writer: str) -> None:
    """Of Borg's text; JSON is found behind anything."""
    texts = [recording for recording in INDEXED if not any(line.startswith(b"{") for line in recording.lines)]
    told = {
        recording.name: _events(recording, [WRITTEN_BY[writer] + line for line in recording.lines])
        for recording in texts
    }

    assert told == {recording.name: recording.expect for recording in texts}


def _as_journal(line: bytes) -> bytes:
    since = str(int(READ_AT.timestamp() * 1_000_000))
    text = line.decode("utf-8", "replace")
    return json.dumps({"__REALTIME_TIMESTAMP": since, "SYSLOG_IDENTIFIER": "borg.sh", "MESSAGE": text}).encode()


def test_what_the_journal_of_systemd_holds_is_judged_like_the_lines_themselves() -> None:
    """Of Borg's text: what is JSON has times of its own, and these are of another day."""
    texts = [one for one in INDEXED if not any(line.startswith(b"{") for line in one.lines)]
    told = {one.name: _events(one, [_as_journal(line) for line in one.lines]) for one in texts}

    assert told == {one.name: one.expect for one in texts}


@pytest.mark.parametrize(
    "commands",
    [
        ("create-json", "create-json"),
        ("create-debug-stats-text", "create-debug-stats-text"),
        ("create-repo-gone", "create-json"),
        ("create-json", "create-repo-gone"),
        ("create-repo-gone", "prune-list-stats-q"),
        ("create-repo-gone", "compact-v"),
        ("create-repo-gone", "list-repo-json-rc"),
        ("compact-v", "create-repo-gone"),
        ("create-json", "damaged-verify-v-rc"),
        ("create-json", "prune-list-stats-q", "compact-v", "check"),
    ],
    ids=" ".join,
)
def test_a_script_of_several_commands_gives_what_each_of_them_gives(commands: tuple[str, ...]) -> None:
    """Also where the commands leave no closing line."""
    known = {recording.name: recording for recording in RECORDINGS}
    parts = [known[f"borg-1.4.5/more/{command}"] for command in commands]

    told = _events(parts[0], [line for part in parts for line in part.lines])

    assert told == tuple(name for part in parts for name in part.expect)


def _later(line: bytes, by: timedelta) -> bytes:
    line = JSON_TIME.sub(lambda found: b'"time": %.6f' % (float(found[1]) + by.total_seconds()), line)
    return DATE.sub(lambda found: _date(_read_date(found[0]) + by), line)


def _read_date(text: bytes) -> datetime:
    return datetime.strptime(text.decode(), _DATE_FORMAT).replace(tzinfo=UTC)


def _date(time: datetime) -> bytes:
    return time.strftime(_DATE_FORMAT).encode()


@every_recording
def test_two_runs_appended_to_one_file_give_the_events_twice(recording: Recording) -> None:
    """The second is read two days later; between them silence ends what the first left open."""
    judge, gap = _judge(recording), timedelta(days=2)
    first = judge.lines({}, _lines(recording.lines))
    silent = judge.silence(first.streams, READ_AT + gap - timedelta(hours=1), {})
    streams = {**first.streams, **silent.streams}
    again = [_later(line, gap) for line in recording.lines]
    second = judge.lines(streams, _lines(again, READ_AT + gap, 10**9))
    ended = judge.finish({**streams, **second.streams})

    assert recording.expect * 2 == recording.told(first.events + silent.events + second.events + ended.events)


@every_indexed_one
def test_reading_a_log_in_pieces_gives_what_reading_it_at_once_gives(recording: Recording) -> None:
    judge = _judge(recording)
    whole = judge.lines({}, _lines(recording.lines))
    streams: dict[str, Stream] = {}
    events: list[Event] = []
    for line in _lines(recording.lines):
        judged = judge.lines(streams, [line])
        streams = {**streams, **judged.streams}
        events.extend(judged.events)

    assert whole.events == tuple(events)
    assert dict(whole.streams) == streams
