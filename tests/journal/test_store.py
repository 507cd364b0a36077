from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from borgwatch.errors import JournalError
from borgwatch.journal.notes import DeliveryState, ReviewMark
from borgwatch.journal.store import Change, Journal
from borgwatch.matching.suspicious import RuleHits, Unclaimed
from borgwatch.model import Alert, Event, FieldValue, Level, Outcome, Phase, Position, Signal
from borgwatch.policy.folding import Held
from borgwatch.policy.jobs import JobState
from borgwatch.runs.run import Evidence, Run, Stream
from borgwatch.truenas.trust import Pin

DATA = Path(__file__).parents[1] / "data" / "journal"
NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
LATER = NOW.astimezone(timezone(timedelta(hours=1))) + timedelta(hours=1)


def alert(job: str, *, event_id: str = "e1", operation: str = "backup", raised: bool = True) -> Alert:
    return Alert(
        f"borgwatch:main:{job}:{operation}", job, operation, "failure", Level.ERROR, "text", raised, event_id, NOW
    )


def event(number: int = 1, **fields: FieldValue) -> Event:
    return Event(
        f"e{number}", "backup.failure", Level.CRITICAL, "nas", "title", "message", NOW, "r", "log", "r1", fields
    )


RUN = Run(
    id="r1",
    job="nas",
    source="log",
    operation="backup",
    started=NOW,
    read=LATER,
    seen=LATER,
    starts=("borg.create-start",),
    telling=Evidence(Outcome.FAILURE, "rule", "message", "next", 10, Level.CRITICAL, "title"),
    errors=1,
    outcome=Outcome.FAILURE,
    closed=True,
    past=True,
    fields={"rc": 2, "archive": "Übergröße", "duration": 1.5, "ok": False, "none": None},
)
STREAM = Stream("prune", replace(RUN, outcome=None), (RUN,), frozenset({"backup", "prune"}))
POSITION = Position(1, 2**63 - 1, 5, b"\x00\xffanchor", skipping=True, past_until=3)
CHANGE = Change(
    roots=["/watch"],
    positions={"log": POSITION},
    streams={"log": STREAM},
    runs=[RUN],
    events=[event()],
    jobs=[JobState("nas", "backup", "failure", NOW, LATER, LATER)],
    alerts=[alert("nas")],
)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(tmp_path / "state")
    yield opened
    opened.close()


def everything(journal: Journal) -> tuple[object, ...]:
    return (
        journal.roots(),
        journal.positions(),
        journal.streams(),
        journal.jobs(),
        journal.alerts(),
        journal.events(),
        journal.pending(),
    )


def test_what_was_committed_is_there_after_reopening(journal: Journal, tmp_path: Path) -> None:
    journal.commit(CHANGE)
    before = everything(journal)
    journal.close()
    again = Journal.open(tmp_path / "state")

    assert before == everything(again)
    assert again.positions() == {"log": POSITION}
    assert again.streams() == {"log": STREAM}
    assert {("nas", "backup"): JobState("nas", "backup", "failure", NOW, LATER, LATER)} == again.jobs()
    assert [event()] == again.events()
    assert {("nas", "backup"): alert("nas")} == again.alerts()
    assert frozenset({"/watch"}) == again.roots()
    again.close()


def test_a_write_that_fails_leaves_nothing(journal: Journal) -> None:
    journal.commit(CHANGE)
    before = everything(journal)
    change = replace(
        CHANGE,
        roots=["/other"],
        positions={"log": None, "new": POSITION},
        events=[event(2), event(3)],
        alerts=[alert("other"), alert("\udce9")],
    )
    with pytest.raises(UnicodeEncodeError):
        journal.commit(change)

    assert before == everything(journal)
    journal.commit(replace(change, alerts=[]))
    assert [event(), event(2), event(3)] == journal.events()


def test_a_full_disk_is_told_and_leaves_nothing(journal: Journal) -> None:
    (pages,) = journal._database.execute("PRAGMA page_count").fetchone()
    journal._database.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(JournalError, match="cannot be written: database or disk is full; is the disk full"):
        journal.commit(replace(CHANGE, events=[event(n, text="x" * 2000) for n in range(100)]))

    assert (tuple(journal.events()), journal.positions()) == ((), {})
    journal._database.execute(f"PRAGMA max_page_count = {pages + 1000}")
    journal.commit(CHANGE)
    assert [event()] == journal.events()


@pytest.mark.parametrize(
    ("change", "is_waited_for"),
    [
        (Change(positions={"nas": Position(1, 2, 3)}, events=[event()]), False),
        (Change(alerts=[alert("nas")]), True),
        (Change(roots=["/watch"]), True),
    ],
    ids=["events", "alerts", "roots"],
)
def test_the_disk_is_waited_for_where_others_are_told(journal: Journal, change: Change, is_waited_for: bool) -> None:
    """Whatever a machine that dies may undo was told to nobody; FULL syncs all commits before this one as well."""
    said: list[str] = []
    journal._database.set_trace_callback(said.append)
    journal.commit(change)

    assert said[0] == f"PRAGMA synchronous = {'FULL' if is_waited_for else 'NORMAL'}"
    assert said[1].startswith("BEGIN")


def test_a_source_that_is_forgotten_takes_its_position_and_its_runs_along(journal: Journal) -> None:
    journal.commit(CHANGE)
    journal.commit(Change(positions={"log": None}))

    assert (journal.positions(), journal.streams()) == ({}, {})
    assert [event()] == journal.events()


def test_an_event_at_the_same_place_of_an_emptied_log_is_another_event(journal: Journal) -> None:
    """A script that empties its log at each run writes the same failure at the same place, night after night."""
    journal.commit(CHANGE)
    journal.commit(CHANGE)

    assert [event(), event()] == journal.events()


def test_the_newest_events_come_oldest_first(journal: Journal) -> None:
    journal.commit(Change(events=[event(n) for n in range(10)]))

    assert [event(7), event(8), event(9)] == journal.events(3)


# -- the outbox -------------------------------------------------------------------------------------------------


def test_the_outbox_holds_the_newest_state_of_each_key_oldest_change_first(journal: Journal) -> None:
    journal.commit(Change(alerts=[alert("a", event_id="a1"), alert("b", event_id="b1")]))
    journal.commit(Change(alerts=[alert("c", event_id="c1"), alert("a", event_id="a2", raised=False)]))

    pending = journal.pending()
    assert [entry.alert.event_id for entry in pending] == ["b1", "c1", "a2"]
    assert sorted(entry.seq for entry in pending) == [entry.seq for entry in pending]


def test_what_was_delivered_is_pending_no_more(journal: Journal, tmp_path: Path) -> None:
    journal.commit(Change(alerts=[alert("a"), alert("b")]))
    journal.mark_delivered([journal.pending()[0]])
    journal.close()
    again = Journal.open(tmp_path / "state")

    assert [entry.alert.job for entry in again.pending()] == ["b"]
    assert {("a", "backup"), ("b", "backup")} == set(again.alerts())
    again.close()


def test_a_change_during_delivery_is_delivered_as_well(journal: Journal) -> None:
    journal.commit(Change(alerts=[alert("a", event_id="a1")]))
    on_its_way = journal.pending()[0]
    journal.commit(Change(alerts=[alert("a", event_id="a2")]))
    journal.mark_delivered([on_its_way])

    assert [entry.alert.event_id for entry in journal.pending()] == ["a2"]
    journal.mark_delivered([journal.pending()[0]])
    journal.mark_delivered([on_its_way])
    assert journal.pending() == []


@pytest.mark.parametrize("arrived", [False, True])
def test_the_end_of_what_nobody_heard_of_is_not_told(journal: Journal, arrived: bool) -> None:
    journal.commit(Change(alerts=[alert("a", event_id="a1")]))
    if arrived:
        journal.mark_delivered([], journal.pending())
    journal.commit(Change(alerts=[alert("a", event_id="a2", raised=False)]))

    assert [entry.alert.renotify for entry in journal.pending()] == [arrived]


def test_a_thousand_changes_of_one_key_are_one_entry(journal: Journal) -> None:
    journal.commit(Change(alerts=[alert("a", event_id=f"a{n}") for n in range(1000)]))

    assert [entry.alert.event_id for entry in journal.pending()] == ["a999"]


# -- odd values ---------------------------------------------------------------------------------------------------


def test_numbers_of_any_size_can_be_written_and_read(journal: Journal) -> None:
    numbers: dict[str, FieldValue] = {"big": 10**30, "small": -(10**30), "max": 2**63 - 1, "tiny": 5e-324}
    journal.commit(Change(events=[event(1, **numbers)]))

    assert numbers == journal.events()[0].fields


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_json_has_no_number_for_is_read_as_nothing(journal: Journal, number: float) -> None:
    journal.commit(Change(events=[event(1, n=number)]))

    assert journal.events()[0].fields == {"n": None}


def test_text_with_nul_quotes_and_foreign_letters_comes_back(journal: Journal) -> None:
    text = "a\x00b'\"\\ \u202e名前\U0001f600"
    journal.commit(Change(events=[replace(event(), job=text, message=text)], positions={text: POSITION}))

    assert (text, text) == (journal.events()[0].job, journal.events()[0].message)
    assert {text: POSITION} == journal.positions()


def test_a_pin_is_kept_for_each_host(journal: Journal) -> None:
    first, second = Pin("aa", NOW, NOW), Pin("bb", NOW, NOW)
    journal.set_pin("nas:443", first)
    journal.set_pin("other:443", second)
    journal.set_pin("nas:443", second)

    assert (second, second, None) == tuple(journal.pin(host) for host in ("nas:443", "other:443", "third:443"))


# -- opening --------------------------------------------------------------------------------------------------------


def test_a_second_service_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    first = Journal.open(tmp_path, exclusive=True)
    with pytest.raises(JournalError, match=f"another borgwatch already runs on the state directory {tmp_path}"):
        Journal.open(tmp_path, exclusive=True)
    reader = Journal.open(tmp_path)
    first.commit(CHANGE)

    assert [event()] == reader.events()
    reader.close()
    first.close()
    Journal.open(tmp_path, exclusive=True).close()


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_journal_of_a_newer_borgwatch_is_refused_and_left_alone(tmp_path: Path, *, exclusive: bool) -> None:
    Journal.open(tmp_path).close()
    database = sqlite3.connect(tmp_path / "journal.sqlite3")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(JournalError, match=r"newer borgwatch \(schema 99, this one knows \d+\): use that version"):
        Journal.open(tmp_path, exclusive=exclusive)

    assert {"journal.sqlite3", "lock"} >= {path.name for path in tmp_path.iterdir()}


def _garbage(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)


def _broken_inside(path: Path) -> None:
    journal = Journal(path)
    journal.commit(Change(events=[event(n, text="x" * 500) for n in range(300)]))
    journal._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    journal.close()
    data = bytearray(path.read_bytes())
    assert len(data) > 20 * 4096
    data[5 * 4096 : 18 * 4096] = b"\xa5" * (13 * 4096)
    path.write_bytes(data)


def _cut_short(path: Path) -> None:
    _broken_inside(path)
    os.truncate(path, 3 * 4096 + 17)


@pytest.mark.parametrize("damage", [_garbage, _broken_inside, _cut_short])
def test_a_damaged_journal_is_moved_aside_and_said(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "journal.sqlite3"
    assert callable(damage)
    damage(path)
    damaged = path.read_bytes()
    journal = Journal.open(tmp_path, exclusive=True)
    journal.commit(CHANGE)
    (aside,) = tmp_path.glob("journal.sqlite3.damaged-*")

    assert f"it was moved to {aside.name} and begun anew" in journal.recovered
    assert damaged == aside.read_bytes()
    assert [event()] == journal.events()
    journal.close()


def test_a_sound_journal_says_nothing_of_a_recovery(journal: Journal) -> None:
    assert journal.recovered == ""


def test_a_mere_reader_leaves_a_damaged_journal_where_it_is(tmp_path: Path) -> None:
    _garbage(tmp_path / "journal.sqlite3")
    with pytest.raises(JournalError, match="file is not a database"):
        Journal.open(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["journal.sqlite3"]


def test_damage_that_shows_while_reading_is_a_journal_error(tmp_path: Path) -> None:
    _broken_inside(tmp_path / "journal.sqlite3")
    journal = Journal.open(tmp_path)
    with pytest.raises(JournalError, match="the journal cannot be read: database disk image is malformed"):
        journal.events(300)
    journal.close()


def test_a_row_that_holds_something_else_is_a_journal_error(journal: Journal) -> None:
    journal._database.execute("INSERT INTO streams VALUES ('log', ?)", (b'{"default_operation": 5}',))
    with pytest.raises(JournalError, match="the journal holds a Stream that cannot be read: Expected `str`"):
        journal.streams()


def test_an_empty_file_becomes_a_journal(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite3").touch()
    journal = Journal.open(tmp_path, exclusive=True)

    assert (journal.recovered, journal.events()) == ("", [])
    journal.close()


def test_a_file_in_place_of_the_state_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(JournalError, match=r"the state directory .*/state cannot be used: File exists; it must be"):
        Journal.open(tmp_path / "state")


@contextmanager
def as_nobody(path: Path) -> Iterator[None]:
    """Be someone who may not write everywhere, if the tests run as root; the way to `path` is opened first."""
    if os.geteuid() != 0:
        yield
        return
    for parent in path.parents:
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def _open_and_write(state: Path, *, exclusive: bool) -> None:
    with closing(Journal.open(state, exclusive=exclusive)) as journal:
        journal.commit(CHANGE)


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("exists", [True, False])
def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path, *, exclusive: bool, exists: bool) -> None:
    state = tmp_path / "state"
    state.mkdir()
    if exists:
        Journal.open(state, exclusive=True).close()
    state.chmod(0o555)
    with as_nobody(state), pytest.raises(JournalError) as caught:
        _open_and_write(state, exclusive=exclusive)
    state.chmod(0o755)

    assert "writ" in str(caught.value)
    assert not str(caught.value).startswith("[Errno")


# -- kill -9 ----------------------------------------------------------------------------------------------------------

WRITER = textwrap.dedent("""
    import sys
    from dataclasses import replace
    from datetime import UTC, datetime
    from pathlib import Path
    from borgwatch.journal.store import Change, Journal
    from borgwatch.model import Alert, Event, Level, Position

    now = datetime(2026, 11, 23, tzinfo=UTC)
    journal = Journal.open(Path(sys.argv[1]), exclusive=True)
    done = journal.positions().get("log", Position(1, 1, 0)).offset
    print("ready", flush=True)
    while True:
        done += 1
        events = [
            Event(f"e{done}-{part}", "backup.failure", Level.ERROR, "nas", "t", "m" * 500, now, "r", "log")
            for part in range(3)
        ]
        alert = Alert("key", "nas", "backup", "failure", Level.ERROR, "text", True, f"e{done}-2", now)
        journal.commit(Change(positions={"log": Position(1, 1, done)}, events=events, alerts=[alert]))
""")


def test_kill_9_while_writing_leaves_whole_transactions(tmp_path: Path) -> None:
    state = tmp_path / "state"
    before = 0
    for delay in (0.01, 0.03, 0.05, 0.08, 0.13):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(state)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(delay)
        writer.kill()
        assert writer.wait(10) == -signal.SIGKILL
        writer.stdout.close()

        journal = Journal.open(state, exclusive=True)
        done = journal.positions()["log"].offset if journal.positions() else 0
        events = [found.id for found in journal.events(1_000_000)]
        assert journal.recovered == ""
        assert [f"e{n}-{part}" for n in range(1, done + 1) for part in range(3)] == events
        assert [f"e{done}-2"] * (done > 0) == [entry.alert.event_id for entry in journal.pending()]
        assert before <= done
        before = done
        journal.close()
    assert before > 0


def test_a_journal_that_was_removed_is_not_written_any_more(tmp_path: Path) -> None:
    """SQLite would go on writing into a file that nobody will ever find again."""
    journal = Journal.open(tmp_path)
    (tmp_path / "journal.sqlite3").unlink()
    with pytest.raises(JournalError, match="was removed or replaced while it was in use: restart borgwatch"):
        journal.commit(CHANGE)
    journal.close()


def test_a_journal_of_an_older_borgwatch_is_taken_over_with_all_it_holds(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    directory.mkdir()
    with closing(sqlite3.connect(directory / "journal.sqlite3")) as database:
        database.executescript((DATA / "schema-1.sql").read_text("utf-8"))
    with closing(Journal.open(directory, exclusive=True)) as taken_over:
        assert taken_over.recovered == ""
        assert taken_over.streams() == {"log": STREAM}
        assert [event()] == taken_over.events()
        assert [alert("nas")] == [pending.alert for pending in taken_over.pending()]
        assert (taken_over.rule_hits(), taken_over.unclaimed()) == ({}, [])
        taken_over.commit(Change(hits={"borg.disk-full": RuleHits(1, NOW)}))
        assert {"borg.disk-full": RuleHits(1, NOW)} == taken_over.rule_hits()


def test_hits_of_a_rule_add_up(journal: Journal) -> None:
    journal.commit(Change(hits={"a": RuleHits(2, LATER), "b": RuleHits(1, NOW)}))
    journal.commit(Change(hits={"a": RuleHits(3, NOW)}))

    assert {"a": RuleHits(5, LATER), "b": RuleHits(1, NOW)} == journal.rule_hits()


def unclaimed(number: int, at: datetime = NOW, job: str = "nas") -> Unclaimed:
    letter = chr(ord("a") + number % 26) * (1 + number // 26)
    return Unclaimed(job, f"ERROR: {letter}", 1, at, at, f"ERROR: {letter}", "log")


def test_unclaimed_lines_of_one_text_add_up_over_steps(journal: Journal) -> None:
    journal.commit(Change(unclaimed=[unclaimed(1)]))
    journal.commit(Change(unclaimed=[replace(unclaimed(1, LATER), count=2, sample="ERROR: newest")]))

    assert [Unclaimed("nas", "ERROR: b", 3, NOW, LATER, "ERROR: newest", "log")] == journal.unclaimed()


def test_only_the_newest_unclaimed_texts_of_each_job_are_kept(journal: Journal) -> None:
    journal.commit(Change(unclaimed=[unclaimed(0, job="other")]))
    for number in range(150):
        journal.commit(Change(unclaimed=[unclaimed(number, NOW + timedelta(minutes=number))]))

    kept = journal.unclaimed()
    assert (len(kept), kept[-1].text, kept[-1].job) == (101, "ERROR: a", "other")
    assert [unclaimed(149, NOW + timedelta(minutes=149))] == kept[:1]


def test_what_waits_is_kept_changed_and_forgotten(tmp_path: Path) -> None:
    event = Event("e1", "backup.failure", Level.ERROR, "nas", "t", "m", NOW, "my.tape", "log", fields={"n": 1})
    first = Held(("fold", "nas", "backup.failure", "my.tape"), NOW, event, "e0", NOW, 3, LATER)
    second = Held(("cooldown", "caf\u00e9", "backup.failure", "my.tape"), told=NOW)
    with closing(Journal.open(tmp_path)) as journal:
        journal.commit(Change(held={first.key: first, second.key: second}))
        journal.commit(Change(held={second.key: None}))
    with closing(Journal.open(tmp_path)) as journal:
        assert {first.key: first} == journal.held()


def test_what_is_held_back_in_a_stream_survives(journal: Journal) -> None:
    held = Signal(
        "borg.closing-success",
        Phase.END,
        "nas",
        "log",
        "id",
        NOW,
        outcome=Outcome.SUCCESS,
        captured={"rc": 0, "x": None},
    )
    stream = replace(STREAM, held=(held,), recap=NOW, quiet=frozenset({"backup"}))
    state = JobState("nas", "backup", missed_at=NOW, failures=3, failing_since=LATER, run="r1", from_past=True)
    journal.commit(Change(streams={"log": stream}, jobs=[state]))

    assert journal.streams() == {"log": stream}
    assert journal.jobs() == {("nas", "backup"): state}


# -- the history: what became of alerts, notes, forgetting -------------------------------------------------------------


def test_beside_an_event_stands_what_became_of_its_alert(journal: Journal) -> None:
    """Of two events with one id (a log that a script empties), it is the newest that an alert speaks of."""
    journal.commit(Change(events=[event(1), event(2)]))
    journal.commit(Change(events=[event(1)], alerts=[alert("nas")]))
    assert [(found.seq, found.delivery) for found in journal.events_after(0)] == [(1, ""), (2, ""), (3, "waiting")]
    journal.mark_delivered(journal.pending())
    assert [found.delivery for found in journal.events_after(2)] == ["raised"]
    journal.mark_lost(alert("nas"))
    assert [found.delivery for found in journal.events_after(2)] == ["waiting"]
    journal.mark_delivered([], journal.pending())
    assert [found.delivery for found in journal.events_after(2)] == ["mailed"]
    journal.commit(Change(events=[event(4)], alerts=[alert("nas", event_id="e4", raised=False)]))
    journal.mark_delivered([], journal.pending())
    assert [found.delivery for found in journal.events_after(3)] == ["quiet"]
    assert journal.last_seq() == 4


def test_a_note_is_kept_under_its_type_the_newest_only(journal: Journal, tmp_path: Path) -> None:
    assert journal.note(ReviewMark) is None
    journal.set_note(ReviewMark(NOW, 7))
    journal.set_note(DeliveryState("mail", NOW, reason="because"))
    journal.set_note(ReviewMark(LATER, 9))
    with closing(Journal.open(tmp_path / "state")) as again:
        assert again.note(ReviewMark) == ReviewMark(LATER, 9)
        assert again.note(DeliveryState) == DeliveryState("mail", NOW, reason="because")


def test_lines_and_unclaimed_lines_are_counted_for_good(journal: Journal) -> None:
    journal.commit(Change(lines=3))
    journal.commit(Change(lines=4, unclaimed=[replace(unclaimed(1), count=5), unclaimed(2)]))
    assert journal.counters() == {"lines": 7, "unclaimed": 6}


def a_year_of(days: int, journal: Journal) -> None:
    for day in range(days):
        ended = NOW + timedelta(days=day)
        run = replace(RUN, id=f"r{day}", started=ended, read=ended, seen=ended)
        journal.commit(Change(runs=[run], events=[replace(event(day), time=ended)]))


def test_history_is_forgotten_by_age_a_few_rows_at_a_time_and_nothing_else_is(journal: Journal) -> None:
    journal.commit(CHANGE)
    a_year_of(20, journal)
    journal.commit(Change(unclaimed=[unclaimed(1), unclaimed(2, NOW + timedelta(days=15))]))
    kept = [
        journal.roots(), journal.positions(), journal.streams(), journal.jobs(), journal.pending(), journal.counters()
    ]  # fmt: skip
    steps = 0
    while journal.prune(NOW + timedelta(days=12), 10**9, rows=5):
        steps += 1

    assert steps >= 3
    assert [found.time - NOW for found in journal.events()] == [timedelta(days=day) for day in range(13, 20)]
    assert journal._read("SELECT count(*) FROM runs") == [(7,)]
    assert [line.text for line in journal.unclaimed()] == ["ERROR: c"]
    assert kept == [
        journal.roots(), journal.positions(), journal.streams(), journal.jobs(), journal.pending(), journal.counters()
    ]  # fmt: skip


def test_the_number_of_an_event_is_never_given_out_again(journal: Journal) -> None:
    """A mark such as "reviewed up to number 3" must not hide what comes later."""
    a_year_of(3, journal)
    while journal.prune(NOW + timedelta(days=1000), 10**9):
        pass
    assert journal.last_seq() == 3
    journal.commit(Change(events=[event(4)]))
    assert journal.last_seq() == 4


def test_a_journal_that_is_too_large_loses_its_oldest_rows_and_its_file_shrinks(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, exclusive=True)
    for number in range(2500):
        at = NOW + timedelta(minutes=number)
        journal.commit(Change(events=[replace(event(number, text="x" * 1500), time=at)]))
    journal._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = (tmp_path / "journal.sqlite3").stat().st_size
    while journal.prune(NOW - timedelta(days=1), 3_500_000):
        pass
    newest = journal.events(10_000)
    journal.close()

    assert before > 3_500_000
    assert (tmp_path / "journal.sqlite3").stat().st_size <= 3_500_000
    assert 1000 <= len(newest) < 2500
    assert newest[-1].time == NOW + timedelta(minutes=2499)
    assert newest[0].time == NOW + timedelta(minutes=2500 - len(newest))


def test_a_journal_that_is_large_for_another_reason_keeps_its_history(journal: Journal) -> None:
    a_year_of(30, journal)
    assert not journal.prune(NOW - timedelta(days=1), 1)
    assert len(journal.events()) == 30


def test_however_small_the_size_the_newest_thousand_rows_stay(journal: Journal) -> None:
    for number in range(1300):
        journal.commit(Change(events=[replace(event(number), time=NOW + timedelta(minutes=number))]))
    while journal.prune(NOW - timedelta(days=1), 1):
        pass
    assert len(journal.events(2000)) == 1000


def test_a_journal_of_an_older_borgwatch_shrinks_as_well(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    directory.mkdir()
    with closing(sqlite3.connect(directory / "journal.sqlite3")) as database:
        database.executescript((DATA / "schema-1.sql").read_text("utf-8"))
    with closing(Journal.open(directory, exclusive=True)) as journal:
        for number in range(100):
            journal.commit(Change(events=[event(number, text="x" * 100_000)]))
        assert journal._database.execute("PRAGMA auto_vacuum").fetchone() == (0,)
        while journal.prune(NOW + timedelta(days=1), 10**9, rows=40):
            pass
        assert journal._database.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    assert (directory / "journal.sqlite3").stat().st_size < 1_000_000


def test_31_what_a_user_dismissed_is_not_missed_unless_something_new_came_up(journal: Journal) -> None:
    journal.commit(Change(alerts=[alert("nas"), alert("web")]))
    journal.mark_delivered(journal.pending())
    journal.mark_dismissed(alert("nas").key)
    assert [one.job for one in journal.standing()] == ["web"]

    news = replace(alert("web"), text="it failed again", event_id="e2")
    journal.commit(Change(alerts=[news]))
    journal.mark_dismissed(news.key)  # of what was shown before, told late
    journal.mark_delivered(journal.pending())
    assert journal.standing() == [news]


def test_an_alert_that_was_cleared_does_not_stand(journal: Journal) -> None:
    journal.commit(Change(alerts=[replace(alert("nas"), raised=False)]))
    journal.mark_delivered(journal.pending())

    assert journal.standing() == []
