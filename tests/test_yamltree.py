from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from borgwatch.yamltree import Document, Node, nearest


def root(text: str) -> tuple[Document, Node]:
    document = Document.parse(text, "f.yaml")
    assert document.root is not None, document.problems
    return document, document.root


def test_what_is_written_is_what_is_read() -> None:
    """YAML's own ideas of `on`, `12:30`, `1e3` or dates do not count where text is wanted."""
    document, node = root("[on, no, 12:30, 1e3, 2026-11-23, ~, 0x10, '']")

    texts = [document.text(item, "x") for item in document.items(node, "x")]
    assert texts == ["on", "no", "12:30", "1e3", "2026-11-23", "~", "0x10", ""]
    assert document.problems == []


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("Yes", True), ("ON", True), ("false", False), ("no", False), ("'off'", False)]
)
def test_a_boolean_has_many_spellings(text: str, *, value: bool) -> None:
    document, node = root(text)

    assert value is document.boolean(node, "x")


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("-7", -7), ("'12'", 12), ("9" * 18, 10**18 - 1)])
def test_a_whole_number_is_read(text: str, value: int) -> None:
    document, node = root(text)

    assert value == document.integer(node, "x")


@pytest.mark.parametrize(
    ("ask", "text", "problem"),
    [
        ("integer", "--5", "x must be a whole number, not '--5'"),
        ("integer", "1.5", "x must be a whole number, not '1.5'"),
        ("integer", "٣", "x must be a whole number, not '٣'"),
        ("integer", "9" * 19, f"x must be a whole number, not '{'9' * 19}'"),
        ("integer", "''", "x must be a whole number, not nothing"),
        ("integer", "[1]", "x must be a whole number, not a list"),
        ("boolean", "1", "x must be true or false, not '1'"),
        ("boolean", "{a: b}", "x must be true or false, not a mapping"),
        ("text", "[a]", "x must be text, not a list"),
        ("mapping", "a", "x must be a mapping (key: value), not 'a'"),
        ("mapping", "[a]", "x must be a mapping (key: value), not a list"),
    ],
)
def test_what_is_not_as_it_should_be_is_noted_with_its_place(ask: str, text: str, problem: str) -> None:
    document, node = root(f"# a comment\n   {text}")
    getattr(document, ask)(node, "x")

    assert [f"f.yaml:2:4: {problem}"] == document.problems


def test_reading_goes_on_after_a_fault() -> None:
    document, node = root("a: 1\nbb: 2\na: 3\n? [x]\n: 4\nc: 5\n")
    entries = document.mapping(node, "the file", ("a", "b", "c"))

    assert list(entries) == ["a", "c"]
    assert document.problems == [
        "f.yaml:2:1: unknown key 'bb' in the file (did you mean 'b'?)",
        "f.yaml:3:1: key 'a' stands twice in the file",
        "f.yaml:4:3: a key of the file must be text, not a list",
    ]


def test_one_or_many_takes_both() -> None:
    document, node = root("{one: a, many: [a, b], bad: [a, {b: c}]}")
    entries = document.mapping(node, "x")
    read = {key: document.one_or_many(item, lambda n: document.text(n, "y")) for key, item in entries.items()}

    assert read == {"one": ("a",), "many": ("a", "b"), "bad": ("a",)}
    assert document.problems == ["f.yaml:1:33: y must be text, not a mapping"]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("prun", " (did you mean 'prune'?)"),
        ("zzz", " (known: backup, prune)"),
    ],
)
def test_the_nearest_known_word_is_named_or_all_of_them(word: str, hint: str) -> None:
    assert hint == nearest(word, ("prune", "backup"))


def test_too_many_known_words_are_not_listed() -> None:
    assert nearest("zzz", [f"word{n}" for n in range(41)]) == ""


@pytest.mark.parametrize("text", ["&a [*a]", "a: &x 1\nb: *x", "&a {b: *a}", "- &x {}\n- *x"])
def test_aliases_are_refused(text: str) -> None:
    document = Document.parse(text, "f.yaml")

    assert document.root is None
    assert len(document.problems) == 1


def test_a_document_of_very_many_nodes_is_refused() -> None:
    document = Document.parse("[" + "a," * 50_010 + "]", "f.yaml")

    assert (document.root, len(document.problems)) == (None, 1)


def test_what_is_no_file_is_the_documents_one_problem(tmp_path: Path) -> None:
    assert [f"{tmp_path}:1:1: cannot be read: Is a directory"] == Document.load(tmp_path).problems


def test_of_an_endless_file_only_the_beginning_is_read() -> None:
    assert Document.load(Path("/dev/zero")).problems == ["/dev/zero:1:1: the file is larger than 1 MiB"]


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(codec="utf-8") | st.sampled_from("{}[]:-,&*!|>'\"%@`#\n \t?"), max_size=60))
def test_no_text_is_too_odd_to_be_told_of(text: str) -> None:
    """Whatever stands in a file, there is a tree or a problem, and each problem has a place and one line."""
    document = Document.parse(text, "f.yaml")
    if document.root is not None:
        document.mapping(document.root, "x", ("a",))
        for ask in (document.text, document.boolean, document.integer):
            ask(document.root, "x")

    for problem in document.problems:
        name, line, column, what = problem.split(":", 3)
        assert (name, int(line) > 0, int(column) > 0) == ("f.yaml", True, True)
        assert what.startswith(" ")
        assert "\n" not in what


@pytest.mark.parametrize("text", ["[" * 400_000, "a: " + "[" * 60, "[" * 60 + "]" * 60, "{a: " * 60, "- " * 400_000])
def test_what_is_nested_too_deeply_is_refused_with_its_place(text: str) -> None:
    """The fast parser would end the process on a stack overflow."""
    (problem,) = Document.parse(text, "x").problems
    assert re.match(r"x:1:\d+: nested more than 50 levels deep$", problem)


@pytest.mark.parametrize("with_libyaml", [True, False])
def test_places_are_the_same_without_libyaml(with_libyaml: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in all wheels, but not in every build."""
    monkeypatch.setattr(yaml, "__with_libyaml__", with_libyaml and yaml.__with_libyaml__)
    document = Document.parse("a: {b: 'x', ü: [1,\n  two]}\n", "x")
    for node in document.items(document.mapping(document.mapping(document.root, "all")["a"], "a")["ü"], "ü"):
        document.fault(node, "here")
    assert document.problems == ["x:1:17: here", "x:2:3: here"]
