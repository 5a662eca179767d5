"""A finished sweep in the lake: its table is a dataset like any other, `lake.research.results.read(KEY)`."""

from __future__ import annotations

import polars as pl

from mts1b.datalake import Lake
from mts1b.datalake.dataset import Stored
from mts1b.research.chunks import BLOCKS
from mts1b.research.store import read_table
from mts1b.research.summary import SweepSummary


def publish(summary: SweepSummary, lake: Lake) -> Stored:
    """Put the table of a sweep into the lake, without the sums by block that its accounting was made from.

    The same sweep again makes no version. StackError when the lake cannot be written.
    """
    rows = read_table(summary.table)
    source = f"{summary.strategy} on {summary.data_version}"
    return lake.research.results.write(summary.key, rows.select(pl.exclude(BLOCKS)), source)
