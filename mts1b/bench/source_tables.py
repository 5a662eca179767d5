"""Every table of the source's performance notes, word for word, and which figure of ours stands beside each row."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a saved result. `source`: the same in the source's table, in the same unit, for the ratio to it."""

    benchmark: str
    name: str
    source: float | None = None


@dataclass(frozen=True, slots=True)
class SourceTable:
    """`ours`: for each row the figures beside it, one for each of `our_columns`; None: nothing measures it yet. `note`:
    what a reader of the figures has to know."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    our_columns: tuple[str, ...] = ("ours",)
    ours: tuple[tuple[Figure | None, ...], ...] = ()
    note: str = ""


def _single(size: str, source_s: float) -> tuple[Figure | None, ...]:
    name = "single-minute" if size.startswith("minute") else "single"
    return Figure(name, f"kernel_{size}_wall_s", source_s), Figure(name, f"event_{size}_wall_s", source_s)


def _primitive(name: str, source_mb: float | None = None) -> tuple[Figure | None, ...]:
    return Figure("memory", f"{name}_rss_mb", source_mb), Figure("memory", f"{name}_uss_mb")


def _service(name: str) -> tuple[Figure | None, ...]:
    sizes = ("rss_mb", "uss_mb", "above_base_mb")
    return tuple(Figure("memory", f"{name}_{state}_{size}") for state in ("idle", "active") for size in sizes)


def _step(name: str, source_ms: float) -> tuple[Figure | None, ...]:
    return (Figure("hotpath", f"{name}_p99_ms", source_ms),)


MINUTE_S = (18 * 60.0, 38.0, 14.0)

LATENCY = SourceTable(
    "Latency budget of the hot path (end to end at most 100 ms p99; without the veto 50 ms)",
    ("Step", "Target", "Why"),
    (
        ("Strategy signal generation", "≤ 10 ms", "factor compute (cached features)"),
        ("Portfolio sizing", "≤ 5 ms", "quantkit kelly/vol-target"),
        ("OMS receive + idempotency check", "≤ 5 ms", "dedupe lookup"),
        ("Risk gate 1 (idempotency)", "≤ 1 ms", "hashed dedupe"),
        ("Risk gate 2 (schema)", "≤ 1 ms", "pydantic validate"),
        ("Risk gate 3 (static)", "≤ 2 ms", "in-memory lookups"),
        ("Risk gate 4 (position)", "≤ 5 ms", "position store + cov compute"),
        ("Risk gate 5 (drawdown)", "≤ 2 ms", "NAV diff"),
        ("Risk gate 6 (short)", "≤ 2 ms", "borrow cache"),
        ("Risk gate 7 (CRO veto, optional)", "≤ 5 s", "LLM call (fail-OPEN)"),
        ("Broker submit", "≤ 20 ms", "network to venue"),
        ("Total", "≤ 100 ms p99", ""),
    ),
    ("ours, p99",),
    (
        (Figure("signal", "p99_ms", 10.0),),
        _step("portfolio_sizing", 5.0),
        _step("oms_receive", 5.0),
        _step("risk_gate_1", 1.0),
        _step("risk_gate_2", 1.0),
        _step("risk_gate_3", 2.0),
        _step("risk_gate_4", 5.0),
        _step("risk_gate_5", 2.0),
        _step("risk_gate_6", 2.0),
        _step("risk_gate_7", 5_000.0),
        _step("broker_submit", 20.0),
        _step("order_total", 100.0),
    ),
)

WALL_TIME = SourceTable(
    "One backtest: GPU against CPU (Russell 1000 x 10 years daily)",
    ("Backend", "Universe size", "Period", "Wall time", "Speedup"),
    (
        ("CPU (numpy)", "100", "10 yr", "8 sec", "1x"),
        ("CPU (numpy)", "1000", "10 yr", "95 sec", "1x"),
        ("CPU (numpy)", "1000", "10 yr (1m bars)", "18 min", "1x"),
        ("GPU (cupy RTX 4090)", "100", "10 yr", "1.2 sec", "~7x"),
        ("GPU (cupy RTX 4090)", "1000", "10 yr", "4.8 sec", "~20x"),
        ("GPU (cupy RTX 4090)", "1000", "10 yr (1m bars)", "38 sec", "~28x"),
        ("GPU (cupy H100)", "1000", "10 yr (1m bars)", "14 sec", "~77x"),
    ),
    ("ours, kernel on CPU", "ours, event engine on CPU"),
    (
        _single("100", 8.0),
        _single("1000", 95.0),
        _single("minute_1000", MINUTE_S[0]),
        _single("100", 1.2),
        _single("1000", 4.8),
        _single("minute_1000", MINUTE_S[1]),
        _single("minute_1000", MINUTE_S[2]),
    ),
)

LADDER = SourceTable(
    "The ladder: 100,000 combinations x 1,000 names x 10 years daily",
    ("Backend", "Wall time"),
    (("CPU", "~10 hours"), ("GPU (RTX 4090)", "~30 minutes"), ("GPU (H100)", "~10 minutes")),
    ("ours on CPU",),
    (
        (Figure("ladder", "wall_s", 36_000.0),),
        (Figure("ladder", "wall_s", 1_800.0),),
        (Figure("ladder", "wall_s", 600.0),),
    ),
)

PRIMITIVES = SourceTable(
    "Platform primitives, resident",
    ("Primitive", "Resident"),
    (
        ("Logging setup", "~5 MB"),
        ("Config + Vault client", "~15 MB"),
        ("HTTP client (httpx)", "~10 MB"),
        ("NATS client", "~5 MB"),
        ("Postgres pool", "~30 MB"),
        ("Redis client", "~5 MB"),
    ),
    ("ours, RSS", "ours, USS"),
    (
        _primitive("logging", 5.0),
        _primitive("config", 15.0),
        _primitive("http", 10.0),
        _primitive("nats", 5.0),
        _primitive("postgres", 30.0),
        _primitive("redis", 5.0),
    ),
)

SERVICES = SourceTable(
    "A typical service, resident",
    ("Service", "Idle", "Active"),
    (
        ("mts1b-foundation (library)", "10 MB", "10 MB"),
        ("mts1b-platform (library)", "50 MB", "80 MB"),
        ("mts1b-marketdata (service)", "80 MB", "200 MB"),
        ("mts1b-oms (service)", "100 MB", "300 MB"),
        ("mts1b-riskengine (service)", "80 MB", "150 MB"),
        ("mts1b-research (service)", "200 MB", "1-4 GB (active sweep)"),
        ("mts1b-GPUbacktester (service)", "100 MB host", "8-24 GB GPU (active backtest)"),
        ("mts1b-datalake (service)", "150 MB", "500 MB-2 GB (active ingest)"),
    ),
    (
        *("ours, idle RSS", "idle USS", "idle above Ray's worker"),
        *("ours, active RSS", "active USS", "active above Ray's worker", "ladder, all processes"),
    ),
    (
        _primitive("foundation") + (None,) + _primitive("foundation") + (None, None),
        _service("platform")[:2] + (None,) + _service("platform")[3:5] + (None, None),
        (*_service("marketdata"), None),
        (*_service("oms"), None),
        (*_service("riskengine"), None),
        (*_service("research"), Figure("ladder", "peak_memory_gb")),
        _service("gpubacktester")[:2] + (None,) * 5,
        _service("datalake")[:2] + (None,) + _service("datalake")[3:5] + (None, None),
    ),
)

NATS = SourceTable(
    "NATS publish latency (in the source's words)",
    ("Where", "Publish-ack"),
    (("Local cluster, p99", "< 1 ms"), ("JetStream durable adds", "~1-3 ms"), ("Cross-region", "10-100 ms")),
    ("ours",),
    (
        (Figure("eventbus", "publish_ack_p99_ms", 1.0),),
        (Figure("eventbus", "durable_adds_p50_ms", 1.0),),
        (Figure("eventbus", "publish_100_ms_away_p50_ms"),),
    ),
)

COMPRESSION = SourceTable(
    "Compression of the lake",
    ("Type", "Compression", "Speed", "Size reduction vs CSV"),
    (
        ("Daily bars", "snappy", "fast", "5x"),
        ("Intraday bars", "zstd:3", "medium", "12x"),
        ("News text", "zstd:3", "medium", "8x"),
        ("Options chains", "snappy", "fast", "4x"),
    ),
    ("ours, times smaller than CSV", "ours, rows read per s"),
    tuple(
        (Figure("lake", f"compression_{kind}_ratio"), Figure("lake", f"read_{kind}_rows_per_s"))
        for kind in ("daily", "intraday", "news", "options")
    ),
    note="""Intraday bars stay below the source's 12x, and not for want of rows: 43,164 real minutes of 24 names come to
what 15,415 of 8 do. Of the 8.9 bytes a row, each price takes 1.6 and the volume 2.3. Under zstd 3 other encodings make
prices larger (BYTE_STREAM_SPLIT 14%, a dictionary 38%) or 3% smaller (differences of 32 bits, which end at 214,748);
BYTE_STREAM_SPLIT takes 11% off volumes, 3% off the whole, and decodes slower. The entropy of differences from one bar
to the next, no context used, is 0.9 bytes a price and 1.7 a volume: 12x needs more than encodings of single columns.
News is 156 headlines with their links, nearly all without a text, which is too little to say anything of news with
texts: a tenth of the file is what Parquet says of itself, and zstd makes the bare words 2.7 times smaller (2.9 at its
highest level).""",
)

RATE_LIMITS = SourceTable(
    "Rate limits of providers",
    ("Provider", "Free tier", "Paid"),
    (
        ("FMP", "250/day", "30k+/day"),
        ("Polygon", "5/min", "unlimited"),
        ("Coinbase Advanced", "30 req/sec", "100+/sec"),
        ("IBKR Gateway", "50 req/sec", "unlimited"),
    ),
    (
        "ours, free: most calls in any window",
        "of the limit in use",
        "ours, paid: most calls, or what a permit takes",
    ),
    (
        (Figure("ratelimit", "fmp_free_calls_max"), None, Figure("ratelimit", "fmp_paid_calls_max")),
        (
            Figure("ratelimit", "polygon_free_calls_max"),
            Figure("ratelimit", "polygon_free_used_share"),
            Figure("ratelimit", "unlimited_permit_p50_ms"),
        ),
        (
            Figure("ratelimit", "coinbase_free_calls_max"),
            Figure("ratelimit", "coinbase_free_used_share"),
            Figure("ratelimit", "coinbase_paid_calls_max"),
        ),
        (
            Figure("ratelimit", "ibkr_free_calls_max"),
            Figure("ratelimit", "ibkr_free_used_share"),
            Figure("ratelimit", "unlimited_permit_p50_ms"),
        ),
    ),
)

LLM_COST = SourceTable(
    "Cost of language models",
    ("Persona", "Calls/day", "Avg tokens", "Cost/day"),
    (
        ("CRO (gate 7)", "~500", "800 in / 200 out", "~$3"),
        ("equities_analyst", "~50", "2000 in / 500 out", "~$1.50"),
        ("news_summarizer", "~20", "5000 in / 800 out", "~$2"),
        ("quant_screener", "~10", "3000 in / 1500 out", "~$3"),
        ("...", "", "", ""),
        ("TOTAL", "~700", "", "~$15-25/day"),
    ),
)

SOURCE_TABLES = (LATENCY, WALL_TIME, LADDER, PRIMITIVES, SERVICES, NATS, COMPRESSION, RATE_LIMITS, LLM_COST)
