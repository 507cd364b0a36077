from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from borgwatch import yamltree
from borgwatch.matching.load import RuleSet, load_rules, parse_pack, shipped_rules_dir
from borgwatch.matching.patterns import Pattern, PatternError
from borgwatch.samples import run_samples
from borgwatch.yamltree import Document

TAGS = "tags (!name) are not supported: text that begins with ! stands in quotes"
NOTHING = "asks for nothing: it would match every line"
HEAD = "schema: 1\npack: mine\nrules:\n"


def rule(text: str = "", *, name: str = "r", match: str = "{text: x}", run: str = "run: detail") -> str:
    return f"  - id: {name}\n    match: {match}\n    {run}\n{text}"


def problems(text: str) -> list[str]:
    return parse_pack(text, "mine.yaml")[1]


MODIFIERS = "cased, contains, endswith, exists, gt, gte, in, is, lt, lte, re, startswith"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: the file is empty: a rule file holds schema, pack and rules"),
        ("# only a comment\n", "1:1: the file is empty: a rule file holds schema, pack and rules"),
        ("- a list\n", "1:1: a rule file must be a mapping (key: value), not a list"),
        ("schema: 1\npack: [\n", "3:1: not valid YAML: expected the node content, but found '<stream end>'"),
        ("a: b: c\n", "1:5: not valid YAML: mapping values are not allowed here"),
        ("a: 1\n---\nb: 2\n", "2:1: not valid YAML: but found another document"),
        ("a: *nobody\n", None),
        ("a: &x text\n", None),
        (
            "a: 1\nb: !fire in the hall\n",
            "2:4: tags (!name) are not supported: text that begins with ! stands in quotes",
        ),
        (
            "a: !!python/object:os.system x\n",
            "1:4: tags (!name) are not supported: text that begins with ! stands in quotes",
        ),
        ("a: 1\nb: x\x00\n", "2:5: not valid YAML: unacceptable character #x0000: special characters are not allowed"),
        ("schema: 1\npack:\nrules: []\n", "2:6: pack must be a name, not ''"),
        (HEAD + rule(name='"a\\n"'), "4:9: id must be a name, not 'a\\n'"),
        (
            HEAD + rule(match="{text|contains: [x, '']}"),
            f"5:28: 'text|contains' {NOTHING}",
        ),
        (HEAD + rule(match="{text|re: ''}"), f"5:22: 'text|re' {NOTHING}"),
        (HEAD + rule(match="{n|gt: nan}"), "5:19: 'n|gt' compares numbers, and 'nan' is none"),
        (HEAD + rule("    level: error\n"), "7:12: level cannot be 'error' (did you mean 'ERROR'?)"),
        (HEAD + rule("    samples: [{lines: []}]\n"), "7:15: a sample has no line"),
        ("schema: 2\npack: p\nrules: []\n", "1:9: this borgwatch reads schema: 1"),
        ("schema: 1\nrules: []\n", "1:1: a rule file must say pack:"),
        ("schema: 1\npack: p\nruls: []\n", "3:1: unknown key 'ruls' in a rule file (did you mean 'rules'?)"),
        ("schema: 1\npack: p\nrules: 7\n", "3:8: rules must be a list, not '7'"),
        ("schema: 1\npack: p\npack: q\nrules: []\n", "3:1: key 'pack' stands twice in a rule file"),
        ("schema: 1\npack: {a: b}\nrules: []\n", "2:7: pack must be text, not a mapping"),
        (HEAD + "  - just text\n", "4:5: a rule must be a mapping (key: value), not 'just text'"),
        (HEAD + "  - match: {text: x}\n    run: detail\n", "4:5: a rule must say id:"),
        (HEAD + "  - id: r\n    run: detail\n", "4:5: rule mine.r must say match:"),
        (HEAD + rule("    mesage: x\n"), "7:5: unknown key 'mesage' in a rule (did you mean 'message'?)"),
        (HEAD + rule() + rule(), "7:9: the id 'mine.r' stands twice in this file"),
        (HEAD + rule("    weight: heavy\n"), "7:13: weight must be a whole number, not 'heavy'"),
        (HEAD + rule("    weight: --5\n"), "7:13: weight must be a whole number, not '--5'"),
        (HEAD + rule(f"    weight: {'9' * 5000}\n"), f"7:13: weight must be a whole number, not '{'9' * 5000}'"),
        (HEAD + rule("    weight: 100\n"), "7:13: weight must be between -99 and 99"),
        (HEAD + rule("    enabled: maybe\n"), "7:14: enabled must be true or false, not 'maybe'"),
        (
            HEAD + rule("    outcome: failur\n"),
            "7:14: outcome cannot be 'failur' (did you mean 'failure'?)",
        ),
        (
            HEAD + rule("    level: SEVERE\n"),
            "7:12: level cannot be 'SEVERE' (known: CRITICAL, ERROR, INFO, NOTICE, WARNING)",
        ),
        (HEAD + rule("    operation: backups\n"), "7:16: operation cannot be 'backups' (did you mean 'backup'?)"),
        (HEAD + rule(run="run: finish"), "6:10: run cannot be 'finish' (known: detail, end, start)"),
        (HEAD + rule(run="run: end"), "6:10: rule mine.r ends a run: it must say its outcome"),
        (
            HEAD + rule(run="emit: backup.failure\n    run: detail"),
            "4:5: rule mine.r must say either run: (start, detail, end) or emit: (an event name)",
        ),
        (
            HEAD + rule(run="emit: backup.failur"),
            "6:11: unknown event 'backup.failur' (did you mean 'backup.failure'?)",
        ),
        (
            HEAD + rule("    outcome: failure\n", run="emit: backup.failure"),
            "7:14: outcome belongs to run:, an emitted event has it in its name",
        ),
        (HEAD + rule(match="{}"), "5:12: match holds no condition: it would match every line"),
        (HEAD + rule(match="{any: []}"), "5:18: any holds no condition"),
        (HEAD + rule(match="{all: []}"), "5:18: all holds no condition"),
        (HEAD + rule(match="{all: {text: x}}"), "5:18: all must be a list, not a mapping"),
        (HEAD + rule(match="{not: {}}"), "5:18: not holds no condition: it would match every line"),
        (HEAD + rule(match="text"), "5:12: match must be a mapping (key: value), not 'text'"),
        (
            HEAD + rule(match="{text|startwith: x}"),
            "5:29: unknown modifier 'startwith' in 'text|startwith' (did you mean 'startswith'?)",
        ),
        (HEAD + rule(match="{text|zzz: x}"), f"5:23: unknown modifier 'zzz' in 'text|zzz' (known: {MODIFIERS})"),
        (HEAD + rule(match="{text|re|contains: x}"), "5:31: 'text|re|contains' compares in 2 ways: one is allowed"),
        (HEAD + rule(match="{text: []}"), "5:19: 'text' is compared with nothing"),
        (HEAD + rule(match="{text: {a: b}}"), "5:19: text must be text, not a mapping"),
        (HEAD + rule(match="{'|re': x}"), "5:20: '|re' names no field"),
        (HEAD + rule(match="{n|gt: many}"), "5:19: 'n|gt' compares numbers, and 'many' is none"),
        (HEAD + rule(match="{n|exists: 7}"), "5:23: n|exists must be true or false, not '7'"),
        (HEAD + rule(match="{text|re: '(a'}"), "5:22: bad pattern '(a': missing ): (a"),
        (
            HEAD + rule(match="{text|re: '(?=a)'}"),
            "5:22: bad pattern '(?=a)': invalid perl operator: (?=; look-around and back-references are not available",
        ),
        (
            HEAD + rule(match='{text|re: "\\ud800"}'),
            "5:22: bad pattern '\\ud800': it holds half of a surrogate pair, which no text does",
        ),
        (
            HEAD + rule("    message: '{tap}'\n", match="{text|re: '(?P<tape>x)'}"),
            "7:14: message names the unknown field 'tap' (did you mean 'tape'?): match it or capture it first",
        ),
        (HEAD + rule("    title: '{tape'\n"), "7:12: title: a lone '{': write '{{' for the character itself"),
        (HEAD + rule("    samples: x\n"), "7:14: samples must be a list, not 'x'"),
        (HEAD + rule("    samples:\n      - hits: true\n"), "8:9: a sample has either line: or lines:"),
        (
            HEAD + rule("    samples:\n      - {line: x, event: {name: backup.fail}}\n"),
            "8:26: unknown event 'backup.fail' (did you mean 'backup.failure'?)",
        ),
        ("a: &x [1]\nb: *x\n", None),
    ],
)
def test_a_fault_is_told_with_its_place(text: str, expected: str | None) -> None:
    if expected is None:
        expected = problems(text)[0].removeprefix("mine.yaml:")
        assert "aliases (&name, *name)" in expected

    assert f"mine.yaml:{expected}" in problems(text)


def test_one_fault_is_told_once() -> None:
    assert problems(HEAD + rule("    weight: x\n")) == ["mine.yaml:7:13: weight must be a whole number, not 'x'"]


@pytest.mark.parametrize(
    ("match", "told"),
    [
        ("{any: 5}", "5:18: any must be a list, not '5'"),
        ("{text|zzz|re: x}", f"5:26: unknown modifier 'zzz' in 'text|zzz|re' (known: {MODIFIERS})"),
    ],
)
def test_what_follows_from_a_fault_is_no_fault_of_its_own(match: str, told: str) -> None:
    assert problems(HEAD + rule(match=match)) == [f"mine.yaml:{told}"]


def test_an_empty_text_can_be_asked_for() -> None:
    """As the whole of a field; as a part of one it would match every line."""
    assert problems(HEAD + rule(match="{path: ''}")) == []


def test_all_faults_of_a_file_are_told_at_once() -> None:
    text = (
        "schema: 3\npack: mine\nextra: 1\nrules:\n"
        + rule("    wieght: 1\n    level: X\n", name="a", match="{text|re: '('}")
        + rule(name="b", match="{}")
        + rule("    message: '{nope}'\n", name="a", run="emit: no.event")
    )
    places = [problem.split(": ")[0].removeprefix("mine.yaml:") for problem in problems(text)]

    assert places == ["3:1", "1:9", "8:5", "6:22", "9:12", "11:12", "13:9", "15:11", "16:14"]


def test_an_alias_bomb_is_refused() -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 20))

    assert problems("l0: &l0 [x]\n" + levels) == [
        "mine.yaml:1:5: aliases (&name, *name) are not supported: text that begins so stands in quotes"
    ]


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "big.yaml").write_text("#" * (1 << 20) + "\n\n")

    assert (f"{tmp_path}/big.yaml:1:1: the file is larger than 1 MiB",) == load_rules([tmp_path]).problems


def test_a_file_nested_too_deep_is_refused() -> None:
    assert problems("[" * 20_000) == ["mine.yaml:1:51: nested more than 50 levels deep"]


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")

    assert (f"{tmp_path}/a.yaml:1:1: cannot be read: not UTF-8 text",) == load_rules([tmp_path]).problems


def test_a_byte_order_mark_and_crlf_are_taken(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_bytes(b"\xef\xbb\xbf" + (HEAD + rule()).replace("\n", "\r\n").encode())
    loaded = load_rules([tmp_path])

    assert loaded.problems == ()
    assert loaded.rules[0].id == "mine.r"


@pytest.mark.parametrize("pattern", ["(a", "[z-a]", "a{99999}", "\\1", "*", "(((.{0,1000}){0,1000})"])
def test_a_pattern_that_cannot_be_run_in_linear_time_and_bounded_memory_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        Pattern(pattern)


# -- shipped and own ----------------------------------------------------------------------------------------------


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    directory = tmp_path / "shipped"
    directory.mkdir()
    text = "schema: 1\npack: borg\nrules:\n" + "".join(rule(name=name, match=f"{{text: {name}}}") for name in "abc")
    (directory / "borg.yaml").write_text(text)
    return directory


@pytest.fixture
def own(tmp_path: Path) -> Path:
    directory = tmp_path / "own"
    directory.mkdir()
    return directory


def ids(loaded: RuleSet) -> list[str]:
    assert loaded.problems == ()
    return [r.id for r in loaded.rules]


def test_a_rule_of_the_user_takes_the_place_of_the_shipped_one(shipped: Path, own: Path) -> None:
    (own / "x.yaml").write_text("schema: 1\npack: borg\nrules:\n" + rule(name="b", run="run: start"))
    loaded = load_rules([own], shipped=shipped)

    assert ids(loaded) == ["borg.a", "borg.b", "borg.c"]
    assert [r.phase.value for r in loaded.rules] == ["detail", "start", "detail"]
    assert [pack.shipped for pack in loaded.packs] == [True, False]


def test_a_shipped_rule_is_switched_off_by_its_id(shipped: Path, own: Path) -> None:
    (own / "x.yaml").write_text("schema: 1\npack: borg\nrules:\n  - {id: b, enabled: false}\n")

    assert ids(load_rules([own], shipped=shipped)) == ["borg.a", "borg.c"]


def test_the_users_own_rules_are_asked_before_all_shipped_ones(shipped: Path, own: Path) -> None:
    (own / "x.yaml").write_text(HEAD + rule(name="z"))
    (own / "y.yaml").write_text("schema: 1\npack: borg\nrules:\n" + rule(name="new"))

    assert ids(load_rules([own], shipped=shipped)) == ["mine.z", "borg.new", "borg.a", "borg.b", "borg.c"]


def test_a_broken_file_is_left_out_whole_and_the_sound_ones_go_on(shipped: Path, own: Path) -> None:
    (own / "bad.yaml").write_text(HEAD + rule(name="good") + rule("    weight: x\n", name="bad"))
    (own / "fine.yaml").write_text("schema: 1\npack: fine\nrules:\n" + rule())
    (own / "notes.txt").write_text("not a rule file")
    (own / "dir.yaml").mkdir()
    loaded = load_rules([own], shipped=shipped)

    assert (f"{own}/bad.yaml:10:13: weight must be a whole number, not 'x'",) == loaded.problems
    assert [r.id for r in loaded.rules] == ["fine.r", "borg.a", "borg.b", "borg.c"]


def test_a_directory_that_is_not_there_holds_no_rules(shipped: Path, own: Path) -> None:
    assert ids(load_rules([own / "gone"], shipped=shipped)) == ["borg.a", "borg.b", "borg.c"]


def test_a_file_in_place_of_a_directory_is_told(shipped: Path, own: Path) -> None:
    path = own / "file"
    path.write_text("")

    assert (f"{path}:1:1: rules cannot be read: Not a directory",) == load_rules([path], shipped=shipped).problems


@contextmanager
def as_nobody(path: Path) -> Iterator[None]:
    """Be someone who may not read everything, if the tests run as root; the way to `path` is opened first."""
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


def test_what_cannot_be_read_is_told(shipped: Path, tmp_path: Path) -> None:
    locked, half = tmp_path / "locked", tmp_path / "half"
    half.mkdir()
    (half / "a.yaml").write_text(HEAD + rule())
    (half / "a.yaml").chmod(0)
    locked.mkdir(mode=0)
    with as_nobody(locked):
        told = load_rules([locked, half], shipped=shipped).problems
    locked.chmod(0o700)

    assert (
        f"{locked}:1:1: rules cannot be read: Permission denied",
        f"{half}/a.yaml:1:1: cannot be read: Permission denied",
    ) == told


# -- the shipped packs ----------------------------------------------------------------------------------------------


def test_the_shipped_packs_are_sound() -> None:
    loaded = load_rules()

    assert loaded.problems == ()
    assert {"borg", "cron-script"} <= {pack.name for pack in loaded.packs}
    assert sorted(path.name for path in shipped_rules_dir().iterdir()) == sorted(
        Path(pack.place.rsplit(":", 2)[0]).name for pack in loaded.packs
    )


def test_every_shipped_rule_is_hit_by_a_sample_and_every_sample_is_right() -> None:
    loaded = load_rules()
    results = run_samples(loaded.rules)

    assert [(result.sample.place, result.differences) for result in results if result.differences] == []
    assert {r.id for r in loaded.rules} == {result.rule.id for result in results if result.sample.hits}


def test_a_rule_of_ones_own_can_be_switched_off(shipped: Path, own: Path) -> None:
    (own / "mine.yaml").write_text(HEAD + rule("    enabled: false\n", name="rests") + rule(name="works"))
    loaded = load_rules([own], shipped=shipped)

    assert loaded.problems == ()
    assert "mine.works" in {rule.id for rule in loaded.rules}
    assert "mine.rests" not in {rule.id for rule in loaded.rules}


def test_what_cannot_be_read_is_told_and_what_others_leave_behind_is_not(shipped: Path, own: Path) -> None:
    """MacOS leaves `._name` beside each file on a share, Emacs a link that leads nowhere; a pipe would never end."""
    (own / "._mine.yaml").write_bytes(b"\x00\x05\x16\x07")
    (own / ".#mine.yaml").symlink_to("nobody@nowhere")
    (own / "gone.yaml").symlink_to("nowhere")
    (own / "latin.yaml").write_bytes("schema: 1\npack: \u00e4\n".encode("latin-1"))
    (own / "loop.yaml").symlink_to("loop.yaml")
    os.mkfifo(own / "pipe.yaml")
    loaded = load_rules([own], shipped=shipped)

    assert loaded.problems == (
        f"{own}/gone.yaml:1:1: cannot be read: No such file or directory",
        f"{own}/latin.yaml:2:7: cannot be read: not UTF-8 text",
        f"{own}/loop.yaml:1:1: cannot be read: Too many levels of symbolic links",
        f"{own}/pipe.yaml:1:1: it is no regular file",
    )


def test_of_a_file_that_is_wrong_everywhere_fifty_faults_are_told_and_the_others_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not told costs no search for what was meant, and no compilation of patterns: both take long."""
    asked: list[str] = []
    compile_pattern = Pattern.__init__

    def nearest(word: str, _: object) -> str:
        asked.append(word)
        return ""

    def count(pattern: Pattern, source: str) -> None:
        asked.append(source)
        compile_pattern(pattern, source)

    monkeypatch.setattr(yamltree, "nearest", nearest)
    monkeypatch.setattr(Pattern, "__init__", count)
    rules = "".join(rule(f"    k{n}: 1\n", name=f"r{n}", match=f"{{text|re: '(tape{n}'}}") for n in range(60))
    path = tmp_path / "mine.yaml"
    path.write_text(HEAD + rules)
    told = [problem for problem in load_rules([tmp_path]).problems if str(path) in problem]

    assert told[0] == f"{path}:5:22: bad pattern '(tape0': missing ): (tape0"
    assert told[49].startswith(f"{path}:103:5: unknown key 'k24' in a rule")
    assert told[50:] == [f"{path}:103:5: and 35 more faults in this file"]
    assert [word for word in asked if "tape" in word or word.startswith("k")] == [
        word for n in range(25) for word in (f"k{n}", f"(tape{n}")
    ]


def test_a_fault_that_is_found_for_several_rules_is_one() -> None:
    document = Document.parse("a", "x.yaml")
    for what in ("one", "one", "two"):
        document.fault(document.root, what)
    assert (document.faults, document.problems) == (2, ["x.yaml:1:1: one", "x.yaml:1:1: two"])
