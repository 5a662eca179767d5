"""A fund that trades on the stack: its exchange and its desk, as parts that the supervisor keeps running.

The desk's process is a driver of Ray: it brings the fund's actors back when the cluster has lost them. What it is to
trade lies in the fund's folder, written by who began it (`actors.live_files`).
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from mts1b.config import child_environment
from mts1b.deploy.part import Part
from mts1b.deploy.plan import LOOPBACK, Plan, choose_ports
from mts1b.deploy.ray_head import SETTINGS_OF_A_CLIENT, http_status
from mts1b.foundation.errors import InputError
from mts1b.foundation.ids import FundId

FUND_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
RULES_FILE, READY_FILE, HOLD_FILE, PROGRESS_FILE = "rules.json", "ready", "hold", "progress.json"
DESK_STOPS_S = 20.0


def fund_folder(data_dir: Path, fund_id: FundId) -> Path:
    """Where a live fund keeps what it is to trade, and its exchange's log."""
    return data_dir / "live" / fund_id


def parts_of(fund_id: FundId) -> tuple[str, str]:
    """The names of a fund's two parts, its exchange first."""
    return f"exchange-{fund_id}", f"desk-{fund_id}"


def fund_of(part: str) -> tuple[str, FundId]:
    """What a part is, and of which fund."""
    kind, _, fund_id = part.partition("-")
    return kind, FundId(fund_id)


def checked_fund(text: str) -> FundId:
    """The fund's id. InputError when it would be no name of a folder and of actors."""
    if not FUND_ID.fullmatch(text):
        raise InputError("fund", text, "is no name for a fund", "use up to 40 of a-z, 0-9 and -")
    return FundId(text)


@dataclass(frozen=True, slots=True)
class VenueCosts:
    """What trading at the paper exchange costs, in basis points."""

    fee_bps: Decimal = Decimal(0)
    slippage_bps: Decimal = Decimal(0)

    def save(self, folder: Path) -> None:
        (folder / RULES_FILE).write_text(
            json.dumps({"fee_bps": str(self.fee_bps), "slippage_bps": str(self.slippage_bps)})
        )

    @classmethod
    def load(cls, folder: Path) -> VenueCosts:
        known = json.loads((folder / RULES_FILE).read_text())
        return cls(**{name: Decimal(value) for name, value in known.items()})


def exchange_part(fund_id: FundId, plan: Plan, _credentials: dict[str, str], fresh_ports: bool = False) -> Part:
    """The fund's paper exchange. It keeps port and token, so that whoever speaks to it outlives its restart."""
    name, folder = parts_of(fund_id)[0], fund_folder(plan.root, fund_id)
    port, costs = choose_ports(plan, name, fresh_ports)[name], VenueCosts.load(folder)

    async def answers() -> bool:
        try:
            return await http_status(f"http://{LOOPBACK}:{port}/status") == 401  # it is up, and wants its token
        except (OSError, TimeoutError):
            return False

    return Part(
        name=name,
        command=(sys.executable, "-P", "-m", "mts1b.brokers.paper", "--folder", str(folder), "--port", str(port))
        + ("--fee-bps", str(costs.fee_bps), "--slippage-bps", str(costs.slippage_bps)),
        environment=child_environment(),
        work_dir=folder,
        log_path=plan.log_dir / f"{name}.log",
        fields={},
        prepare=lambda: None,
        answers=answers,
    )


def desk_part(fund_id: FundId, plan: Plan, _credentials: dict[str, str], _fresh_ports: bool = False) -> Part:
    """The process that keeps the fund's actors."""
    name, folder = parts_of(fund_id)[1], fund_folder(plan.root, fund_id)
    environment = child_environment(MTS_DATA_DIR=plan.data_dir)

    async def answers() -> bool:
        return (folder / READY_FILE).exists()

    return Part(
        name=name,
        command=(sys.executable, "-P", "-m", "actors.live", plan.data_dir, fund_id),
        environment={key: value for key, value in environment.items() if key not in SETTINGS_OF_A_CLIENT},
        work_dir=folder,
        log_path=plan.log_dir / f"{name}.log",
        fields={},
        prepare=lambda: (folder / READY_FILE).unlink(missing_ok=True),
        answers=answers,
        stop_timeout_s=DESK_STOPS_S,
    )
