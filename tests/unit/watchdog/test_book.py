"""The book of alerts: raised once, cleared once, whatever comes in between."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mts1b.foundation.alerts import Ease, Finding, Severity
from mts1b.foundation.clock import NS_PER_S
from mts1b.foundation.errors import InputError
from mts1b.watchdog.book import Alert, Book, Change, ChangeKind, Terms, decide, expire
from mts1b.watchdog.grade import Levels, worst

BAD, WORSE, WELL, HOLDS = Severity.WARNING, Severity.CRITICAL, Ease.WELL, Ease.HOLDS


def told(states: list[Severity | Ease], terms: Terms = Terms(), lasts_s: float = 0.0) -> list[tuple[int, str, str]]:
    """What changes when these states are found one second after another: second, kind, severity."""
    book, found = Book(), []
    for second, state in enumerate(states):
        decided = decide(book, Finding("a", "s", state, lasts_s=lasts_s), second * NS_PER_S, terms)
        book = decided.book
        found += [(second, change.kind.value, change.alert.severity.value) for change in decided.changes]
    return found


CASES: list[tuple[list[Severity | Ease], Terms, list[tuple[int, str, str]]]] = [
    ([BAD], Terms(), [(0, "raised", "warning")]),
    ([BAD, BAD, BAD], Terms(), [(0, "raised", "warning")]),
    ([BAD, WELL], Terms(), [(0, "raised", "warning"), (1, "cleared", "warning")]),
    ([BAD, HOLDS, BAD, HOLDS, WELL], Terms(), [(0, "raised", "warning"), (4, "cleared", "warning")]),
    (
        [BAD, WORSE, BAD, WELL],
        Terms(),
        [(0, "raised", "warning"), (1, "raised", "critical"), (3, "cleared", "critical")],
    ),
    ([WELL, HOLDS, WELL], Terms(), []),
    ([BAD, BAD, WELL, BAD, BAD, BAD], Terms(raise_after_s=2), [(5, "raised", "warning")]),
    ([BAD, BAD, HOLDS, BAD, BAD], Terms(raise_after_s=2), []),
    ([BAD, WELL, BAD, WELL, WELL, WELL], Terms(clear_after_s=2), [(0, "raised", "warning"), (5, "cleared", "warning")]),
    ([BAD, WELL, HOLDS, WELL, WELL], Terms(clear_after_s=2), [(0, "raised", "warning")]),
    ([BAD, WELL, BAD], Terms(), [(0, "raised", "warning"), (1, "cleared", "warning"), (2, "raised", "warning")]),
]


@pytest.mark.parametrize(("states", "terms", "wanted"), CASES)
def test_a_table_of_stories(states: list[Severity | Ease], terms: Terms, wanted: list[tuple[int, str, str]]) -> None:
    assert told(states, terms) == wanted


steps = st.lists(
    st.tuples(st.sampled_from([BAD, WORSE, WELL, HOLDS]), st.sampled_from(["x", "y"]), st.integers(0, 3)), max_size=60
)


@settings(max_examples=100)
@given(steps, st.sampled_from([0.0, 1.0, 3.0]), st.sampled_from([0.0, 2.0]))
def test_raised_and_cleared_take_turns(
    story: list[tuple[Severity | Ease, str, int]], raise_after_s: float, clear_after_s: float
) -> None:
    """Each alert: raised at rising severity, cleared at most once and last; at most one stands for one subject."""
    book, now_ns, changes = Book(), 0, list[Change]()
    for state, subject, seconds in story:
        now_ns += seconds * NS_PER_S
        decided = decide(book, Finding("a", subject, state), now_ns, Terms(raise_after_s, clear_after_s))
        book = decided.book
        changes += decided.changes
    by_id: dict[str, list[Change]] = {}
    for change in changes:
        by_id.setdefault(change.alert.alert_id, []).append(change)
    for told in by_id.values():
        kinds = [change.kind for change in told]
        assert kinds.count(ChangeKind.CLEARED) <= 1 and ChangeKind.CLEARED not in kinds[:-1]
        ranks = [change.alert.severity.rank for change in told if change.kind is ChangeKind.RAISED]
        assert ranks == sorted(set(ranks)) and ranks
    standing = {told[-1].alert for told in by_id.values() if told[-1].kind is ChangeKind.RAISED}
    assert set(book.standing) == standing
    assert max(Counter(alert.key for alert in standing).values(), default=0) <= 1


def test_what_does_not_last_clears_by_itself() -> None:
    event = Finding("oms_recovered", "fund", BAD, lasts_s=10)
    book = decide(Book(), event, 0, Terms()).book
    assert expire(book, 9 * NS_PER_S).changes == ()
    book = decide(book, event, 9 * NS_PER_S, Terms()).book  # it happens again
    assert expire(book, 18 * NS_PER_S).changes == ()
    decided = expire(book, 19 * NS_PER_S)
    assert [change.kind for change in decided.changes] == [ChangeKind.CLEARED] and decided.book.entries == {}


def test_an_entry_that_says_nothing_is_not_kept() -> None:
    book = decide(Book(), Finding("a", "s", WELL), 0, Terms()).book
    assert book.entries == {}
    book = decide(book, Finding("a", "s", BAD, lasts_s=1), 0, Terms(raise_after_s=5)).book
    assert expire(book, NS_PER_S).book.entries == {}


def test_alerts_of_an_earlier_watchdog_are_cleared_not_raised_again() -> None:
    before = Alert("id", "a", "s", BAD, "was bad", (), 5)
    book = Book().with_standing([before], 6)
    assert decide(book, Finding("a", "s", BAD), 9, Terms()).changes == ()
    (cleared,) = decide(book, Finding("a", "s", WELL), 9, Terms()).changes
    assert (cleared.kind, cleared.alert.alert_id, cleared.alert.cleared_ns) == (ChangeKind.CLEARED, "id", 9)
    mine = decide(Book(), Finding("a", "s", WORSE), 7, Terms()).book
    event = Alert("id", "a", "s", BAD, "it happened", (), 5, lasts_s=1)
    assert [change.kind for change in expire(Book().with_standing([event], 6), 6 + NS_PER_S).changes] == ["cleared"]
    assert mine.with_standing([before], 8).standing == mine.standing


def test_two_alerts_of_one_moment_are_two() -> None:
    book, ids = Book(), set()
    for state in (BAD, WELL, BAD, WELL):
        decided = decide(book, Finding("a", "s", state), 5, Terms())
        book, ids = decided.book, ids | {change.alert.alert_id for change in decided.changes}
    assert len(ids) == 2


def test_the_worst_alert_is_shown_first() -> None:
    book = Book()
    for now_ns, (subject, state) in enumerate([("x", BAD), ("y", WORSE), ("z", BAD)]):
        book = decide(book, Finding("a", subject, state), now_ns, Terms()).book
    assert [alert.subject for alert in book.standing] == ["y", "x", "z"]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(0, WELL), (7.9, WELL), (8, HOLDS), (9.9, HOLDS), (10, BAD), (19, BAD), (20, WORSE), (float("nan"), WORSE)],
)
def test_levels_have_a_gap_between_raising_and_clearing(value: float, wanted: Severity | Ease) -> None:
    assert Levels(10, 20).grade(value) == wanted


def test_the_worst_of_several() -> None:
    assert worst(WELL, HOLDS) is HOLDS and worst(WELL, BAD, HOLDS) is BAD and worst(BAD, WORSE) is WORSE
    with pytest.raises(InputError, match="warning"):
        Levels(0, 1)
