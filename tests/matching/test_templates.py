from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from borgwatch.matching.templates import Template, TemplateError, one_line
from borgwatch.model import FieldValue

FIELDS: dict[str, FieldValue] = {
    "name": "Tape A7",
    "n": 7,
    "ratio": 1.5,
    "done": True,
    "empty": "",
    "size": "2.48 MB",
    "kib": "1.5 KiB",
    "lines": "\nfirst\nsecond\nlast\n",
    "a.b-c": "dotted",
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("plain", "plain"),
        ("{name} is full", "Tape A7 is full"),
        ("{n}/{ratio}/{a.b-c}", "7/1.5/dotted"),
        ("{{name}} {{{name}}}", "{name} {Tape A7}"),
        ("{missing}!", "!"),
        ("{missing|default:unknown}", "unknown"),
        ("{empty|default:none at all}", "none at all"),
        ("{name|default:unknown}", "Tape A7"),
        ("{missing|upper|default:x}", "x"),
        ("{name|upper} {name|lower}", "TAPE A7 tape a7"),
        ("{ name | upper }", "TAPE A7"),
        ("{lines|first_line} {lines|last_line}", "first last"),
        ("{lines}", "first second last"),
        ("{size|bytes} {kib|bytes}", "2480000 1536"),
        ("{name|bytes}.", "."),
        ("{name|cut:4}", "Tap…"),
        ("{name|cut:40}", "Tape A7"),
        ("{ratio|int} {n|float} {name|int}", "1 7.0"),
    ],
)
def test_a_template_is_filled_in(source: str, expected: str) -> None:
    assert expected == Template.parse(source).render(FIELDS)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{n}", 7),
        ("{ratio}", 1.5),
        ("{done}", True),
        ("{size|bytes}", 2480000),
        ("{name}", "Tape A7"),
        ("{missing}", None),
    ],
)
def test_a_single_slot_keeps_the_type_of_its_value(source: str, expected: FieldValue) -> None:
    value = Template.parse(source).value(FIELDS)

    assert expected == value
    assert type(expected) is type(value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{name", "a lone '{': write '{{' for the character itself"),
        ("name}", "a lone '}': write '}}' for the character itself"),
        ("{}", "{} does not name a field"),
        ("{0}", "{0} does not name a field"),
        ("{a[0]}", "{a[0]} does not name a field"),
        ("{a!r}", "{a!r} does not name a field"),
        ("{a:>99999999}", "{a:>99999999} does not name a field"),
        (
            "{a|eval:1}",
            "unknown filter 'eval' (known: bytes, cut, default, first_line, float, int, last_line, lower, upper)",
        ),
        ("{a|cut}", "'cut' must say a length, such as cut:80"),
        ("{a|cut:0}", "'cut:0' must say a length, such as cut:80"),
        ("{a|cut:" + "9" * 5000 + "}", f"'cut:{'9' * 5000}' must say a length, such as cut:80"),
    ],
)
def test_what_is_no_template_is_refused(source: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template.parse(source)

    assert message == str(caught.value)


@pytest.mark.parametrize("value", ["{n}", "{{n}}", "{n|upper}", "%s %(n)s", "{0.__class__}", "<b>&amp;"])
def test_what_a_log_line_holds_is_never_read_as_a_template(value: str) -> None:
    assert f"[{value}]" == Template.parse("[{x}]").render({"x": value, "n": 7})


UNSAFE = (
    "\x00\x07\x08\n\r\t\x1b\x7f\x85\x9b\xad\u061c\u180e\u200b\u200e\u200f"
    "\u2028\u2029\u202a\u202e\u2066\u2069\ufeff\ufff9\udce9\U000e0041"
)


@pytest.mark.parametrize("mark", UNSAFE, ids=lambda mark: f"U+{ord(mark):04X}")
def test_what_moves_a_cursor_hides_text_or_turns_it_becomes_a_space(mark: str) -> None:
    assert one_line(f"{mark}a{mark}b{mark}") == "a b"
    assert Template.parse("<{x}>").render({"x": f"a{mark}b"}) == "<a b>"


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec=None), max_size=60), st.integers(1, 30))
def test_one_line_is_one_line_of_at_most_its_limit(text: str, limit: int) -> None:
    line = one_line(text, limit)

    assert len(line) <= limit
    assert line == one_line(line, limit)
    assert not set(UNSAFE) & set(line)
    line.encode("utf-8")


@pytest.mark.parametrize("size", ["9" * 400 + " B", "1.2.3 MB", ". B", "9" * 25 + " B", "inf", "nan", "-1 B"])
@pytest.mark.parametrize("kind", ["bytes", "int"])
def test_a_number_that_nothing_can_store_is_none(size: str, kind: str) -> None:
    assert Template.parse(f"{{x|{kind}}}").value({"x": size}) in (None, -1)


def test_a_very_long_value_is_cut() -> None:
    text = Template.parse("{x}").render({"x": "y" * 1_000_000})

    assert len(text) == 2000
    assert text.endswith("…")


def test_a_template_names_the_fields_it_asks_for() -> None:
    assert Template.parse("{a} and {b.c|upper} {{d}}").names == ("a", "b.c")
