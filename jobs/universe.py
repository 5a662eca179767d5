"""Options of every job that reads bars: whose, adjusted for what, as known when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from mts1b.datalake.adjust import Adjust

UniverseOption = Annotated[
    str | None,
    typer.Option("--universe", help="Names by the members of each day of this universe: nobody who joined later."),
]
AdjustOption = Annotated[
    str,
    typer.Option("--adjust", help="total: splits and dividends in the prices, split: splits alone, or none."),
]
AsOfOption = Annotated[
    str | None, typer.Option("--as-of", help="Bars, splits, dividends and members as they were known on this date.")
]


def adjust_of(text: str) -> Adjust:
    """`none` as None. InputError for another word than the three."""
    from mts1b.datalake.adjust import check_adjust  # polars is heavy: load it when a job runs

    found = None if text == "none" else text
    check_adjust(found)
    return cast("Adjust", found)
