"""Stories hold every rule, are told again from their seed, and are no stories of fair weather."""

from __future__ import annotations

from collections import Counter

import pytest

from mts1b.testing.sim.faults import Kind
from mts1b.testing.sim.many import run_seeds, run_some
from mts1b.testing.sim.story import Outcome
from mts1b.testing.sim.tally import Tally

SEEDS = range(1, 41)


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return run_some(SEEDS, "")


def test_no_rule_is_broken(outcomes: list[Outcome]) -> None:
    assert [(item.seed, item.violation) for item in outcomes if item.violation] == []


def test_each_story_has_fifty_orders_and_three_faults(outcomes: list[Outcome]) -> None:
    assert min(item.orders for item in outcomes) >= 50
    assert min(item.faults_fired for item in outcomes) >= 3


def test_everything_goes_wrong_somewhere(outcomes: list[Outcome]) -> None:
    faults = sum((item.faults for item in outcomes), Counter())
    assert set(faults) == {kind.value for kind in Kind} | {"message_lost", "message_twice", "message_late"}


def test_a_seed_tells_the_same_story_again_and_another_another(outcomes: list[Outcome]) -> None:
    again = run_some(SEEDS[:3], "")
    assert again == outcomes[:3]
    assert len({item.digest for item in outcomes}) == len(outcomes)


def test_the_outcome_does_not_depend_on_the_processes(outcomes: list[Outcome]) -> None:
    assert list(run_seeds(SEEDS, workers=2)) == outcomes


def test_a_tally_counts_stories_that_break_off_apart(outcomes: list[Outcome]) -> None:
    tally = Tally()
    broken = run_some((2,), "sent_before_persisted")
    for item in (*broken, *outcomes[:2]):
        tally.add(item)
    facts = tally.facts()
    assert (facts["seeds"], facts["violations"]) == (3, 1)
    assert facts["orders_min"] == min(item.orders for item in outcomes[:2])
    assert facts["broken"] == [{"seed": 2, "violation": broken[0].violation}]
