"""The chain: whatever is done to it is found, and where."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mts1b.audit.chain import GENESIS, Broken, Head, Link, Verified, canonical, link, verify
from mts1b.audit.kept import keep_head, read_head
from mts1b.audit.store import departure
from mts1b.foundation.errors import DataError
from mts1b.foundation.order import Side


def chain(length: int) -> list[Link]:
    head, links = GENESIS, []
    for n in range(length):
        links.append(link(head, f"order{n % 3}", "order_filled", canonical({"n": n, "price": "10.0"}), 1000 + n))
        head = links[-1].head
    return links


CHAIN = chain(12)


def test_an_untouched_chain_holds() -> None:
    assert verify(CHAIN) == Verified(12, CHAIN[-1].head)
    assert verify([]) == Verified(0, GENESIS)
    assert verify(CHAIN[5:], after=CHAIN[4].head) == Verified(7, CHAIN[-1].head)


CHANGES: dict[str, Any] = {
    "sequence": 99, "subject_id": "other", "kind": "order_denied", "content": '{"n":0}', "timestamp": 5,
    "previous_hash": "a" * 64, "hash": "b" * 64,
}  # fmt: skip


@given(st.integers(0, 11), st.sampled_from(sorted(CHANGES)))
def test_a_changed_field_is_located(at: int, name: str) -> None:
    touched = list(CHAIN)
    touched[at] = replace(touched[at], **{name: CHANGES[name]})
    found = verify(touched)
    assert isinstance(found, Broken) and found.links == at
    assert found.sequence == (99 if name == "sequence" else at + 1)


@given(st.integers(0, 10), st.sampled_from(["drop", "repeat", "swap"]))
def test_a_missing_repeated_or_swapped_link_is_located(at: int, what: str) -> None:
    links = list(CHAIN)
    if what == "drop":
        del links[at]
    elif what == "repeat":
        links.insert(at, links[at])
    else:
        links[at], links[at + 1] = links[at + 1], links[at]
    found = verify(links)
    assert isinstance(found, Broken) and found.links == (at + 1 if what == "repeat" else at)


def test_a_forged_link_breaks_the_next_one() -> None:
    forged = list(CHAIN)
    forged[4] = link(CHAIN[3].head, "order1", "order_filled", canonical({"n": 4, "price": "99.0"}), 1004)
    found = verify(forged)
    assert isinstance(found, Broken) and found.sequence == 6


@given(st.integers(0, 11), st.sampled_from(["change", "insert", "delete", "swap", "truncate"]), st.data())
def test_any_single_tampering_is_found_and_located(at: int, what: str, data: st.DataObject) -> None:
    """Also where whoever did it knows how hashes are made, by the head kept apart."""
    links, kept = list(CHAIN), CHAIN[-1].head
    if what == "change":
        name = data.draw(st.sampled_from(sorted(CHANGES)))
        links[at] = replace(links[at], **{name: CHANGES[name]})
    elif what == "insert":
        before = links[at - 1].head if at else GENESIS
        links.insert(at, link(before, "order9", "order_filled", canonical({"n": 99}), 1))
    elif what == "delete":
        del links[at]
    elif what == "swap":
        other = data.draw(st.integers(0, 11).filter(lambda n: n != at))
        links[at], links[other] = links[other], links[at]
        at = min(at, other)
    else:
        del links[at:]
    found = verify(links, expected_head=kept)
    assert isinstance(found, Broken)
    assert found.links == at + (what == "insert"), "the links before the place hold, and none after it is believed"


def test_a_stored_chain_that_leaves_the_kept_head_aside_is_located() -> None:
    kept = CHAIN[8].head
    assert departure(CHAIN[:5], kept, CHAIN[4].head, is_end=False) == ""
    assert departure(CHAIN, kept, CHAIN[-1].head, is_end=True) == ""
    assert "ends here" in departure(CHAIN[:5], kept, CHAIN[4].head, is_end=True)
    anew = Head(9, "f" * 64)
    assert "made anew" in departure(CHAIN, anew, CHAIN[-1].head, is_end=True)


def test_a_head_is_kept_in_a_file_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "audit" / "head.json"
    assert read_head(path) == GENESIS
    keep_head(path, CHAIN[3].head)
    keep_head(path, CHAIN[4].head)
    assert read_head(path) == CHAIN[4].head and path.stat().st_mode & 0o777 == 0o600
    path.write_text('{"sequence": "x"}')
    with pytest.raises(DataError, match="audit_head"):
        read_head(path)


def test_a_cut_end_shows_against_a_head_kept_elsewhere() -> None:
    assert isinstance(verify(CHAIN[:-1]), Verified)
    found = verify(CHAIN[:-1], expected_head=CHAIN[-1].head)
    assert isinstance(found, Broken) and found.sequence == 11
    assert verify(CHAIN, expected_head=Head(12, CHAIN[-1].hash)) == Verified(12, CHAIN[-1].head)


def test_canonical_text_is_one_for_one_content() -> None:
    assert canonical({"b": Decimal("1E+3"), "a": [Side.BUY, "é"]}) == '{"a":["buy","é"],"b":"1000"}'
    assert canonical({"a": 1, "b": 2}) == canonical({"b": 2, "a": 1})
    for bad in (float("nan"), object(), {1, 2}):
        with pytest.raises((TypeError, ValueError)):
            canonical({"x": bad})


@given(subject=st.text(), kind=st.text(), content=st.text(), at=st.integers())
def test_a_hash_is_over_the_canonical_text_of_the_link(subject: str, kind: str, content: str, at: int) -> None:
    made = link(CHAIN[3].head, subject, kind, content, at)
    said = canonical([made.sequence, made.previous_hash, subject, kind, at, content])
    assert made.hash == sha256(said.encode()).hexdigest()
