"""The data lake: partitioned Parquet with a manifest, read as frames, panels or SQL.

    from mts1b.datalake import lake
    lake.equities.bars.read(symbols=["AAPL"], interval="daily", start="2017-01-01", end="2017-06-30")

`lake` is the one that the settings name (`mts1b.config`), looked up when it is imported.
"""

from __future__ import annotations

from mts1b.datalake.catalog import Lake, open_lake, sample_path

__all__ = ["Lake", "lake", "open_lake", "sample_path"]  # noqa: F822 - `lake` is made on demand


def __getattr__(name: str) -> Lake:
    if name == "lake":
        from mts1b.config import load_settings

        return open_lake(load_settings().lake_root)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
