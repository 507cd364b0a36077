from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from borgwatch.sources.lines import Piece, rest, split

LIMIT = 8

text = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r", b"\r\n", b"x" * LIMIT, b"\xff", b"\0"])).map(b"".join)


def read(content: bytes, blocks: list[int], limit: int = LIMIT) -> list[Piece]:
    """Read `content` in blocks of at least the size that is promised to make progress."""
    pieces: list[Piece] = []
    at, skipping, turn = 0, False, 0
    while True:
        size = limit + 2 + (blocks[turn % len(blocks)] if blocks else 0)
        result = split(content[at : at + size], at, skipping=skipping, limit=limit)
        pieces += result.pieces
        if result.offset == at:
            assert len(content) - at == result.tail
            return pieces
        at, skipping, turn = result.offset, result.skipping, turn + 1


@given(text, st.lists(st.integers(0, 20)))
def test_lines_do_not_depend_on_how_they_are_read(content: bytes, blocks: list[int]) -> None:
    """Blocks of any size give the same lines as the whole; NULs before an over-long line aside."""
    whole = split(content + b"\n", 0, limit=LIMIT).pieces
    expected = [(piece.data.lstrip(b"\0"), piece.truncated) for piece in whole]

    assert [(piece.data.lstrip(b"\0"), piece.truncated) for piece in read(content + b"\n", blocks)] == expected


@given(text, st.integers(0, 60), st.booleans(), st.booleans())
def test_lines_that_are_not_wanted_change_nothing_but_the_lines(
    content: bytes, apart: int, skipping: bool, fussy: bool
) -> None:
    """Where reading goes on, how many lines there were, and the last of them are the same; lines are still whole."""
    asked: list[tuple[int, int]] = []

    def wanted(block: bytes, start: int, end: int) -> list[int]:
        assert block[end - 1 : end] == b"\n"
        asked.append((start, end))
        begins = [start + at for at in range(end - start) if at == 0 or block[start + at - 1 : start + at] == b"\n"]
        return begins[:: 2 if fussy else 1]

    all_of_it = split(content, 0, skipping=skipping, limit=LIMIT)
    some = split(content, 0, skipping=skipping, limit=LIMIT, wanted=wanted, apart=apart)

    assert (some.offset, some.skipping, some.tail) == (all_of_it.offset, all_of_it.skipping, all_of_it.tail)
    assert (some.count, some.last) == (all_of_it.count, all_of_it.last)
    assert set(some.pieces) <= set(all_of_it.pieces)
    assert fussy or some.pieces == all_of_it.pieces
    assert not any(start < apart < end and content[start:apart].count(b"\n") for start, end in asked[1:])


@given(text, st.integers(1, 5), st.booleans())
def test_what_is_more_than_asked_for_is_read_again(content: bytes, most: int, picky: bool) -> None:
    """A block of which all lines are wanted is taken in parts, and they are those of the whole."""

    def all_of_them(block: bytes, start: int, end: int) -> list[int]:
        return [start + at for at in range(end - start) if at == 0 or block[start + at - 1 : start + at] == b"\n"]

    wanted = all_of_them if picky else None
    whole = split(content, 0, limit=LIMIT, wanted=wanted)
    pieces: list[Piece] = []
    count, part = 0, split(content, 0, limit=LIMIT, wanted=wanted, most=most)
    while part.full:
        assert part.count == most
        pieces, count = [*pieces, *part.pieces], count + part.count
        at = part.offset
        part = split(content[at:], at, limit=LIMIT, wanted=wanted, most=most)

    assert (*pieces, *part.pieces) == whole.pieces
    assert (count + part.count, part.offset, part.tail) == (whole.count, whole.offset, whole.tail)


@given(text)
def test_nothing_but_line_ends_is_lost(content: bytes) -> None:
    """Lines and tail, put together again, are what was read."""
    result = split(content, 0, limit=len(content) + 1)
    tail = content[len(content) - result.tail :]

    raw = [line.removesuffix(b"\r") for line in content.split(b"\n")[:-1]]

    assert [piece.data for piece in result.pieces] == raw
    assert tail == content.split(b"\n")[-1]


def test_offsets_stand_right_behind_each_line_end() -> None:
    result = split(b"one\ntwo\r\nthr", 100)

    assert result.pieces == (Piece(b"one", 104), Piece(b"two", 109))
    assert (result.offset, result.tail, result.skipping) == (109, 3, False)


def test_a_carriage_return_inside_a_line_is_data() -> None:
    assert split(b"10%\r20%\r\n", 0).pieces == (Piece(b"10%\r20%", 9),)


def test_an_over_long_line_is_cut_and_its_rest_skipped() -> None:
    first = split(b"x" * 10, 0, limit=LIMIT)
    second = split(b"x" * 10, 10, skipping=first.skipping, limit=LIMIT)
    third = split(b"xx\nnext\n", 20, skipping=second.skipping, limit=LIMIT)

    assert first.pieces == (Piece(b"x" * LIMIT, 10, truncated=True),)
    assert second.pieces == ()
    assert third.pieces == (Piece(b"next", 28),)


def test_a_line_of_just_the_limit_is_whole_with_either_line_end() -> None:
    assert split(b"x" * LIMIT + b"\r", 0, limit=LIMIT).tail == LIMIT + 1
    assert split(b"x" * LIMIT + b"\r\n", 0, limit=LIMIT).pieces == (Piece(b"x" * LIMIT, LIMIT + 2),)


def test_what_stands_behind_a_hole_is_not_cut_away() -> None:
    """A sparse file's NULs do not count as the first bytes of an over-long line."""
    assert next(piece.data for piece in read(b"\0" * 1000 + b"text\n", [3])).endswith(b"text")
    assert split(b"\0" * 1000 + b"text\n", 0, limit=LIMIT).pieces == (Piece(b"text", 1005),)


def test_the_rest_of_a_finished_file_is_a_line() -> None:
    assert rest(b"end\r", 10) == Piece(b"end", 14)
