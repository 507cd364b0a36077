from __future__ import annotations

from itertools import product

import pytest

from borgwatch.model import Position
from borgwatch.sources.lines import split
from borgwatch.sources.position import (
    ROWS,
    TRAIL,
    Action,
    Proof,
    Seen,
    Size,
    Whereabouts,
    behind_overlap,
    compare,
    decide,
    fingerprint,
    proof_of,
    proves,
    shifted,
)

MOVED, COPIED, NOWHERE = Whereabouts

# One look for each row, in the order of the table.
WALK = [
    (Seen(known=False), Action.RECALL),
    (Seen(known=False, recalled=True), Action.RESUMED),
    (Seen(known=False, recalled=False), Action.FRESH),
    (Seen(same=True, size=Size.EQUAL, anchor=True), Action.IDLE),
    (Seen(same=True, size=Size.MORE, anchor=True), Action.READ_ON),
    (Seen(same=True, size=Size.EMPTY), Action.WAIT),
    (Seen(same=True, size=Size.MORE), Action.SEARCH),
    (Seen(size=Size.MORE, anchor=True, whereabouts=MOVED, overlap=True), Action.ROTATED),
    (Seen(size=Size.EMPTY, whereabouts=COPIED, overlap=False), Action.WAIT),
    (Seen(size=Size.EQUAL, anchor=True, whereabouts=NOWHERE, overlap=True), Action.IDLE),
    (Seen(size=Size.MORE, anchor=True, whereabouts=COPIED, overlap=False), Action.READ_ON),
    (Seen(size=Size.LESS, whereabouts=COPIED, overlap=True), Action.SHIFTED),
    (Seen(size=Size.LESS, whereabouts=COPIED, overlap=False), Action.ROTATED),
    (Seen(present=False, whereabouts=NOWHERE, overlap=False), Action.GONE),
    (Seen(same=True, size=Size.EMPTY, patient=True, whereabouts=NOWHERE, overlap=False), Action.START_OVER),
]


@pytest.mark.parametrize(("row", "look"), list(enumerate(WALK)))
def test_every_row_decides_its_case(row: int, look: tuple[Seen, Action]) -> None:
    seen, action = look
    fitting = [all(getattr(seen, fact) == value for fact, value in one.facts.items()) for one in ROWS]

    assert len(WALK) == len(ROWS)
    assert fitting.index(True) == row
    assert decide(seen) is action


def test_a_search_is_never_asked_for_twice() -> None:
    """Once whereabouts and overlap are known, every combination of facts leads to something to do."""
    for same, size, anchor, patient, whereabouts, overlap in product(
        (True, False), Size, (True, False), (True, False), Whereabouts, (True, False)
    ):
        seen = Seen(same=same, size=size, anchor=anchor, patient=patient, whereabouts=whereabouts, overlap=overlap)
        assert decide(seen) not in {Action.SEARCH, Action.RECALL, Action.RESUMED, Action.FRESH, Action.GONE}


@pytest.mark.parametrize(
    ("size", "offset", "expected"),
    [(0, 0, Size.EQUAL), (0, 5, Size.EMPTY), (4, 5, Size.LESS), (5, 5, Size.EQUAL), (6, 5, Size.MORE)],
)
def test_sizes_compare(size: int, offset: int, expected: Size) -> None:
    assert compare(size, offset) is expected


def proof(content: bytes) -> Proof:
    """Prove `content`, all of which was read."""
    anchor = fingerprint(content[-256:], 7, split(content, 0).pieces)
    found = proof_of(Position(1, 2, len(content), anchor))
    assert found
    return found


def lines(first: int, last: int) -> bytes:
    """Write the numbered lines from `first` to before `last`."""
    return b"".join(b"line %d\n" % number for number in range(first, last))


def test_a_proof_survives_being_packed() -> None:
    found = proof(lines(0, 40))

    assert len(found.trail) == TRAIL
    assert proof_of(Position(1, 2, 3, found.pack())) == found


def test_a_proof_holds_for_the_same_bytes_only() -> None:
    position = Position(1, 2, 5, fingerprint(b"abcd\n", 7, ()))

    assert proves(position, b"abcd\n", same=False)
    assert not proves(position, b"abce\n", same=True)
    assert not proves(position, b"bcd\n", same=True)


def test_where_nothing_was_read_the_inode_has_to_do() -> None:
    assert proves(Position(1, 2, 0), b"", same=True)
    assert not proves(Position(1, 2, 0, fingerprint(b"", 7, ())), b"", same=False)


@pytest.mark.parametrize(
    ("read", "rewritten", "new_from"),
    [
        (lines(0, 5), lines(1, 6), lines(1, 5)),
        (lines(0, 5), lines(4, 9), lines(4, 5)),
        (lines(0, 100), lines(50, 101), lines(50, 100)),
        (lines(0, 100), lines(95, 101), lines(95, 100)),
    ],
)
def test_the_place_is_found_in_a_file_that_lost_its_oldest_lines(
    read: bytes, rewritten: bytes, new_from: bytes
) -> None:
    assert behind_overlap(proof(read), split(rewritten, 0).pieces) == len(new_from)


@pytest.mark.parametrize(
    ("read", "rewritten"),
    [
        (lines(0, 5), lines(5, 9)),
        (lines(0, 5), lines(9, 12) + lines(0, 5)),
        (b"ok\n" * 20, b"ok\n" * 3),
        (b"\n\n\n", b"\nnew\n"),
        (b"a\nb\n", b""),
    ],
)
def test_other_content_and_repeated_lines_are_no_overlap(read: bytes, rewritten: bytes) -> None:
    assert behind_overlap(proof(read), split(rewritten, 0).pieces) is None


def test_what_was_past_stays_past_in_a_rewritten_file() -> None:
    assert shifted(Position(1, 2, 100, past_until=130), 60).past_until == 90
    assert shifted(Position(1, 2, 100), 60).past_until == 0
