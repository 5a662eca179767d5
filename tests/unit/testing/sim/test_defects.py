"""It can fail: each planted defect is found, at a seed that is known, and nothing stays planted."""

from __future__ import annotations

import pytest

from mts1b.foundation.errors import UnknownNameError
from mts1b.testing.sim.defects import DEFECTS, planted
from mts1b.testing.sim.many import run_some

FOUND_AT = {
    "sent_before_persisted": (2, "was sent before it was journalled"),
    "deduplication_forgotten_on_restart": (2, "made a second order"),
    "fill_applied_twice": (1, "over-fills"),
    "outbox_row_lost": (1, "the outbox was told of []"),
    "outbox_row_marked_before_it_is_published": (6, "the bus was not told of every fill once"),
    "acknowledgement_taken_for_a_fill": (1, "are filled, its fills 0"),
    "stale_epoch_allowed": (3, "taken: at worst"),
    "lease_taken_before_it_ran_out": (124, "was sent by a former writer"),
    "late_send_after_a_pause": (22, "was sent by a former writer"),
    "cancel_crossing_a_fill": (1, "does not come to rest"),
    "doubt_taken_for_a_reject": (1, "the venue has never heard of it"),
    "unknown_believed_too_early": (74, "was let go and reached the venue"),
    "sent_again_under_another_id": (1, "was sent before it was journalled"),
    "never_asked_again": (15, "is pending_cancel"),
    "memory_kept_after_a_failed_commit": (2, "opening and fills"),
    "position_limit_ignores_working_orders": (2, "taken: at worst"),
    "risk_trusted_though_it_started_anew": (13, "risk has not been told everything"),
    "other_leg_not_shrunk": (18, "protects"),
    "latch_lost_on_restart": (5, "was taken while halted"),
    "halt_not_journalled": (3, "a halt was confirmed that is not journalled"),
}
"""By defect, the first seed from 1 on that finds it, and words of what is found there. Another simulation tells other
stories: then `mts sim --defect NAME` says anew."""


@pytest.mark.parametrize("defect", DEFECTS)
def test_it_is_found(defect: str) -> None:
    seed, words = FOUND_AT[defect]
    (outcome,) = run_some((seed,), defect)
    assert words in outcome.violation
    (without,) = run_some((seed,), "")
    assert without.violation == ""


def test_the_product_is_whole_again_afterwards() -> None:
    for name in DEFECTS:
        before = [_at(owner, key) for owner, key, _ in DEFECTS[name]]
        with pytest.raises(KeyError), planted(name):
            assert all(_at(owner, key) is not was for (owner, key, _), was in zip(DEFECTS[name], before, strict=True))
            raise KeyError
        assert [_at(owner, key) for owner, key, _ in DEFECTS[name]] == before


def test_a_defect_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(UnknownNameError, match="fill_applied_twice"), planted("fill_aplied_twice"):
        pass


def _at(owner: object, key: object) -> object:
    return owner[key] if isinstance(owner, dict) else vars(owner)[key]
