"""The parts of a live fund, as the supervisor is told of them."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from mts1b.deploy.live import VenueCosts, checked_fund, desk_part, exchange_part, fund_folder, fund_of, parts_of
from mts1b.deploy.plan import Plan, prepare_directories
from mts1b.foundation.errors import InputError
from mts1b.foundation.ids import FundId

FUND = FundId("a-fund")


def test_parts_are_named_after_their_fund() -> None:
    assert [fund_of(part) for part in parts_of(FUND)] == [("exchange", FUND), ("desk", FUND)]


@pytest.mark.parametrize("name", ["", "../up", "Fund", "a b", "x" * 41, "-a"])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="fund"):
        checked_fund(name)
    assert checked_fund("fund-7") == "fund-7"


def test_an_exchange_has_its_costs_and_keeps_its_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_directories(tmp_path)
    monkeypatch.setattr("mts1b.deploy.plan.can_bind", lambda *_: True)
    folder = fund_folder(tmp_path, FUND)
    folder.mkdir(parents=True)
    VenueCosts(Decimal("1.5"), Decimal(2)).save(folder)
    first, again = (exchange_part(FUND, Plan(str(tmp_path), ()), {}) for _ in range(2))
    assert first.command == again.command
    assert first.command[-4:] == ("--fee-bps", "1.5", "--slippage-bps", "2")


def test_a_desk_is_up_once_it_says_so(tmp_path: Path) -> None:
    fund_folder(tmp_path, FUND).mkdir(parents=True)
    part = desk_part(FUND, Plan(str(tmp_path), ()), {})
    assert not asyncio.run(part.answers())
    (fund_folder(tmp_path, FUND) / "ready").touch()
    assert asyncio.run(part.answers())
    part.prepare()
    assert not asyncio.run(part.answers())
