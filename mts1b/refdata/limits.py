"""A fund's limits as they are stored and as a person writes them. A stored version is complete: each limit is set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import ValidationError

from mts1b.foundation.errors import InputError, unknown_name
from mts1b.foundation.ids import FundId
from mts1b.riskengine.limits import RiskLimits

SYMBOLS = ("allowed_symbols", "restricted_symbols")
"""Limits that are lists of names: `A,B,C` in a person's hand."""


@dataclass(frozen=True, slots=True)
class StoredLimits:
    """One version of a fund's limits, set `by` whom, `why` and when."""

    fund_id: FundId
    version: int
    limits: RiskLimits
    by: str
    why: str
    set_ns: int


class LimitsPort(Protocol):
    """Where limits are kept."""

    async def established(self, fund_id: FundId, limits: RiskLimits, by: str, why: str, now_ns: int) -> StoredLimits:
        """The newest version; of a fund that has none, these limits, stored as its first."""
        ...

    async def newer(self, fund_id: FundId, version: int) -> StoredLimits | None:
        """The newest version when it is above `version`."""
        ...


def complete(fields: Mapping[str, Any]) -> RiskLimits:
    """Limits of which each is set. UnknownNameError or InputError by the name of the first that is wrong or missing."""
    for name in fields:
        if name not in RiskLimits.model_fields:
            raise unknown_name("limit", name, RiskLimits.model_fields)
    try:
        limits = RiskLimits.model_validate(dict(fields))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = str(first["loc"][0])
        raise InputError(name, fields.get(name), first["msg"], "correct this limit") from None
    if (unset := limits.first_unset(tuple(RiskLimits.model_fields))) is not None:
        raise InputError(unset, None, "is not set, and an unset limit denies every order", "give every limit")
    return limits


def changed(before: RiskLimits | None, texts: Mapping[str, Any]) -> RiskLimits:
    """`before` with some limits given anew, as texts or values; with None, all have to be given."""
    given = {name: _read(name, value) for name, value in texts.items()}
    return complete({**({} if before is None else document(before)), **given})


def document(limits: RiskLimits) -> dict[str, Any]:
    """Limits as plain values: exact numbers as texts, names in their order."""
    plain = limits.model_dump(mode="json")
    return plain | {name: sorted(plain[name]) for name in SYMBOLS if plain[name] is not None}


def _read(name: str, value: Any) -> Any:
    if name in SYMBOLS and isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value
