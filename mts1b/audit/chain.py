"""Links, and the proof that nobody changed them. Pure.

A link's hash is SHA-256 over the canonical JSON of [sequence, previous hash, subject, kind, timestamp, content text].
Changing, inserting, dropping or swapping any link breaks the chain at a named sequence; cutting its end off shows
when the head is compared with one kept elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from json.encoder import encode_basestring

GENESIS_HASH = "0" * 64
"""What the first link takes for its predecessor's hash."""


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: its last sequence (0: empty) and hash."""

    sequence: int = 0
    hash: str = GENESIS_HASH


GENESIS = Head()


@dataclass(frozen=True, slots=True)
class Link:
    """One fact about `subject_id` (an order, a fund): `content` is canonical JSON text, `timestamp` UTC nanoseconds."""

    sequence: int
    subject_id: str
    kind: str
    content: str
    timestamp: int
    previous_hash: str
    hash: str

    @property
    def head(self) -> Head:
        return Head(self.sequence, self.hash)


@dataclass(frozen=True, slots=True)
class Verified:
    """Every link holds: how many there were, and where the chain ends."""

    links: int
    head: Head


@dataclass(frozen=True, slots=True)
class Broken:
    """The first link that does not hold, and why; `links` before it do."""

    links: int
    sequence: int
    problem: str


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Enum):
        return str(value.value)
    raise TypeError(f"{type(value).__name__} has no canonical form")


_encode = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False, default=_plain
).encode


def canonical(content: object) -> str:
    """JSON text with sorted keys, no spaces, Decimals as plain text: one text for one content. TypeError on others."""
    return _encode(content)


def link_hash(sequence: int, previous_hash: str, subject_id: str, kind: str, timestamp: int, content: str) -> str:
    """The hash of a link, in hex."""
    before, subject, named, said = map(encode_basestring, (previous_hash, subject_id, kind, content))
    text = f"[{sequence},{before},{subject},{named},{timestamp},{said}]"  # as `canonical` writes it, at half the price
    return sha256(text.encode()).hexdigest()


def link(head: Head, subject_id: str, kind: str, content: str, timestamp: int) -> Link:
    """The next link after `head`; `content` as `canonical` gave it."""
    sequence = head.sequence + 1
    digest = link_hash(sequence, head.hash, subject_id, kind, timestamp, content)
    return Link(sequence, subject_id, kind, content, timestamp, head.hash, digest)


def verify(links: Iterable[Link], after: Head = GENESIS, expected_head: Head | None = None) -> Verified | Broken:
    """Walk links in order of sequence. `expected_head`, kept elsewhere, also proves that none is missing at the end."""
    head, count = after, 0
    for item in links:
        problem = _problem(head, item)
        if problem:
            return Broken(count, item.sequence, problem)
        head, count = item.head, count + 1
    if expected_head is not None and head != expected_head:
        return Broken(count, head.sequence, f"the chain ends here, not at {expected_head.sequence}")
    return Verified(count, head)


def _problem(head: Head, item: Link) -> str:
    if item.sequence != head.sequence + 1:
        return f"follows {head.sequence}: a link is missing, repeated or out of order"
    if item.previous_hash != head.hash:
        return "does not carry its predecessor's hash"
    if item.hash != link_hash(
        item.sequence, item.previous_hash, item.subject_id, item.kind, item.timestamp, item.content
    ):
        return "its content does not match its hash"
    return ""
