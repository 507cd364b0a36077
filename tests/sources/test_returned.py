"""Files that are known again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from borgwatch.model import Position
from borgwatch.sources.compressed import Unpacker
from borgwatch.sources.disk import open_file
from borgwatch.sources.position import fingerprint
from borgwatch.sources.problems import Ledger
from borgwatch.sources.reading import Followed
from borgwatch.sources.returned import Returned
from borgwatch.sources.share import position_at_end
from borgwatch.sources.states import States, lost_key
from borgwatch.sources.trace import Find, Tracer


def test_a_file_that_went_away_in_this_very_look_is_known_beside_another_of_its_inode_number(tmp_path: Path) -> None:
    """Two rotated logs had the number, one after the other; the second went away after the look had begun."""
    log = tmp_path / "x.log"
    log.write_bytes(b"one\n")
    with open_file(str(log)) as file:
        find, position = Find(str(log), file.stamp), position_at_end(file, 1000)
    states, tracer = States(), Tracer(lambda _: (), Unpacker(), Ledger())
    key = states.predecessor_key("x.log", find.stamp.identity)
    known = Followed("x.log", str(tmp_path / "y.log"), position)
    earlier = Position(*find.stamp.identity, 2, fingerprint(b"no", 1, ()))
    states.lost.put(lost_key(key), replace(known, position=earlier))
    returned = Returned(states, tracer)
    assert returned.key_of(find) is None

    home = states.lost.free_key(key, known)
    states.lost.put(home, known)

    assert returned.key_of(find) == home != lost_key(key)
