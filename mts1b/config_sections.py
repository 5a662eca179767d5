"""The sections of the settings tree, one for each service, with their defaults. `mts1b.config` reads them.

To add a setting, add a field to its section: file, environment, command line, `mts config show` and the check for
unknown keys follow from it. A secret is a `SecretStr`; it may hold a reference (`vault://mts1b/fmp#api_key`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from mts1b.foundation.limits import (
    CACHE_CONNECTIONS_DEFAULT,
    CONTENT_WINDOW_S,
    DB_POOL_SIZE_DEFAULT,
    DEDUP_WINDOW_S,
    ORDERS_IN_FLIGHT_MAX,
)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


class Database(Section):
    """One Postgres. `dsn` unset: the embedded server. `pool_size` connections stay once needed; `max_overflow`
    more close when idle. Callers wait for one until `acquire_timeout_s`, statements end at `statement_timeout_s`."""

    dsn: SecretStr | None = None
    pool_size: int = Field(default=DB_POOL_SIZE_DEFAULT, ge=1)
    max_overflow: int = Field(default=0, ge=0)
    acquire_timeout_s: float = Field(default=10.0, gt=0)
    statement_timeout_s: float = Field(default=60.0, gt=0)


class Databases(Section):
    primary: Database = Database()


class EventBus(Section):
    """NATS. `url` unset: the embedded server."""

    url: SecretStr | None = None


class Cache(Section):
    """Redis or Valkey. `url` unset: the embedded server. A call waits for its turn, and for the answer, `timeout_s`."""

    url: SecretStr | None = None
    max_connections: int = Field(default=CACHE_CONNECTIONS_DEFAULT, ge=1)
    timeout_s: float = Field(default=10.0, gt=0)


class RayCluster(Section):
    """The Ray cluster. `address` unset: the stack's own head. Ports: 0 picks a free one."""

    address: str | None = None
    dashboard_port: int = Field(default=0, ge=0, le=65535)
    gcs_port: int = Field(default=0, ge=0, le=65535)
    num_cpus: int | None = Field(default=None, ge=1)
    object_store_bytes: int = Field(default=512 << 20, ge=80 << 20)


class MarketData(Section):
    """The feed. `history_sessions`: how far before the end of the data a replay begins when no start is given."""

    history_sessions: int = Field(default=252, ge=2)


class Oms(Section):
    """The order manager. `orders_in_flight`: orders of one strategy handed over at a time, when not said otherwise.
    `content_window_s`: how long an order bars the same one under another key; 0 bars none."""

    orders_in_flight: int = Field(default=1, ge=1, le=ORDERS_IN_FLIGHT_MAX)
    content_window_s: float = Field(default=CONTENT_WINDOW_S, ge=0.0, le=DEDUP_WINDOW_S)


class RiskEngine(Section):
    """The gates. `covariance_bars`: history that gate 4's covariance is estimated from; 252 is a year of days."""

    covariance_bars: int = Field(default=252, ge=2)


class Research(Section):
    """Where sweep results lie. `root` unset: `results/` under the data directory."""

    root: Path | None = None


class GpuBacktester(Section):
    """`backend`: what sweeps run on when `--backend` is not given; `auto` follows the performance notes' rule."""

    backend: Literal["cpu", "gpu", "auto"] = "cpu"


class DataLake(Section):
    """Where the lake lies: a directory, or `s3://bucket/prefix`, for which the machine's own credentials (environment,
    profile, role) are used. `root` unset: `lake/` under the data directory."""

    root: str | None = None


class Graded(Section):
    """Levels come in pairs: at or above `x_warning` an alert is raised, at or above `x_critical` it is critical."""

    @model_validator(mode="after")
    def _in_order(self) -> Graded:
        for name in type(self).model_fields:
            if name.endswith("_warning"):
                low, high = getattr(self, name), getattr(self, name.removesuffix("_warning") + "_critical")
                if low > high:
                    raise ValueError(f"{name} ({low:g}) is above its critical level ({high:g})")
        return self


class DependencyAlerts(Graded):
    """Servers and venues. `down_for_s`, `slow_for_s`: how long before an alert is raised."""

    period_s: float = Field(default=1.0, gt=0)
    timeout_s: float = Field(default=2.0, gt=0)
    down_for_s: float = Field(default=1.0, ge=0)
    latency_ms_warning: float = Field(default=500.0, gt=0)
    latency_ms_critical: float = Field(default=2_000.0, gt=0)
    slow_for_s: float = Field(default=10.0, ge=0)


class ConsumerAlerts(Graded):
    """Durable consumers of the bus. `unread_for_s`: events wait and nobody asks for them."""

    period_s: float = Field(default=1.0, gt=0)
    timeout_s: float = Field(default=5.0, gt=0)
    wait_warning: int = Field(default=1_000, ge=1)
    wait_critical: int = Field(default=10_000, ge=1)
    in_flight_warning: int = Field(default=500, ge=1)
    in_flight_critical: int = Field(default=5_000, ge=1)
    slow_for_s: float = Field(default=5.0, ge=0)
    unread_for_s: float = Field(default=300.0, ge=0)


class DatabaseAlerts(Graded):
    """Postgres. `waiting_for_s`: how long callers wait for a connection of a pool before that is an alert."""

    period_s: float = Field(default=2.0, gt=0)
    timeout_s: float = Field(default=5.0, gt=0)
    pool_waiting_warning: int = Field(default=1, ge=1)
    pool_waiting_critical: int = Field(default=20, ge=1)
    waiting_for_s: float = Field(default=3.0, ge=0)
    transaction_s_warning: float = Field(default=60.0, gt=0)
    transaction_s_critical: float = Field(default=600.0, gt=0)
    lock_wait_s_warning: float = Field(default=5.0, gt=0)
    lock_wait_s_critical: float = Field(default=60.0, gt=0)
    connections_share_warning: float = Field(default=0.8, gt=0, le=1)
    connections_share_critical: float = Field(default=0.95, gt=0, le=1)
    dead_share_warning: float = Field(default=0.3, gt=0, le=1)
    dead_share_critical: float = Field(default=0.6, gt=0, le=1)
    dead_rows_min: int = Field(default=10_000, ge=1)


class DriftAlerts(Graded):
    """Population stability index and Kolmogorov-Smirnov test over the last `window` bars of a feature, or returns of a
    fund; nothing is said of fewer than `observed_min`."""

    period_s: float = Field(default=5.0, gt=0)
    timeout_s: float = Field(default=30.0, gt=0)
    psi_warning: float = Field(default=0.1, gt=0)
    psi_critical: float = Field(default=0.25, gt=0)
    p_value: float = Field(default=1e-3, gt=0, lt=1)
    window: int = Field(default=60, ge=10)
    observed_min: int = Field(default=20, ge=10)


class VpinAlerts(Graded):
    """VPIN by its level, and by its rank among its own last values once there are `history_min`."""

    period_s: float = Field(default=1.0, gt=0)
    buckets: int = Field(default=50, ge=1)
    buckets_per_day: int = Field(default=50, ge=1)
    level_warning: float = Field(default=0.5, gt=0, le=1)
    level_critical: float = Field(default=0.7, gt=0, le=1)
    rank_warning: float = Field(default=0.99, gt=0, le=1)
    rank_critical: float = Field(default=0.999, gt=0, le=1)
    rank_floor: float = Field(default=0.35, ge=0, le=1)
    history_min: int = Field(default=500, ge=1)


class Watchdog(Section):
    """The alerts. They go to the log, to NATS, and to `webhook_url` by HTTP POST (unset: no webhook).

    `history_days`: how long cleared alerts are kept.
    """

    webhook_url: SecretStr | None = None
    history_days: float = Field(default=90.0, gt=0)
    dependency: DependencyAlerts = DependencyAlerts()
    consumer: ConsumerAlerts = ConsumerAlerts()
    database: DatabaseAlerts = DatabaseAlerts()
    drift: DriftAlerts = DriftAlerts()
    vpin: VpinAlerts = VpinAlerts()


class Llm(Section):
    """Language models."""


class Logging(Section):
    """Log lines on standard error. `auto`: for reading at a terminal, JSON anywhere else."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Telemetry(Section):
    """Spans and metrics. `slow_ms`: from here on an operation is told of as it ends. Durations by the minute are kept
    for `retention_hours` and in at most `retention_bytes_max`. `exposition`: services show metrics to Prometheus.
    Exporters are OpenTelemetry's, by their names (`otlp`, `console`). `ray_service_discovery`: the file in which a Ray
    of yours lists its nodes for Prometheus. The URLs: a Prometheus and a Grafana of yours.
    """

    slow_ms: float = Field(default=50.0, gt=0)
    retention_hours: float = Field(default=48.0, gt=0)
    retention_bytes_max: int = Field(default=256 << 20, ge=1 << 20)
    exposition: bool = True
    traces_exporter: str | None = None
    metrics_exporter: str | None = None
    ray_service_discovery: Path | None = None
    prometheus_url: str | None = None
    grafana_url: str | None = None


class Vault(Section):
    """HashiCorp Vault, KV version 2 at `mount`. Log in with `token`, or with an AppRole's `role_id` and `secret_id`.

    Those three may be references to the environment or a file (`file:///run/vault/token`), read again when they change.
    """

    address: str | None = None
    mount: str = "secret"
    namespace: str | None = None
    token: SecretStr | None = None
    role_id: SecretStr | None = None
    secret_id: SecretStr | None = None
    ca_file: Path | None = None
    timeout_s: float = Field(default=10.0, gt=0)


class Secrets(Section):
    """How long a secret that was read is used before it is read again, and how long at most when that fails."""

    lease_s: float = Field(default=300.0, gt=0)
    stale_s: float = Field(default=3_600.0, ge=0)
    vault: Vault = Vault()


class Retry(Section):
    """Exponential backoff with jitter. `attempts` counts the first call. A server that asks for a longer wait than
    `retry_after_s_max` is not waited for."""

    attempts: int = Field(default=4, ge=1, le=20)
    wait_initial_s: float = Field(default=0.1, gt=0)
    wait_s_max: float = Field(default=5.0, gt=0)
    total_s: float = Field(default=90.0, gt=0)
    retry_after_s_max: float = Field(default=60.0, ge=0)


class Http(Section):
    """Calls to providers, when a provider's own entry says nothing else.

    `pool_timeout_s`: waiting for a free connection. `attempt_timeout_s`: one call from its first byte to its last.
    """

    max_connections: int = Field(default=20, ge=1)
    max_keepalive_connections: int = Field(default=10, ge=0)
    keepalive_s: float = Field(default=30.0, ge=0)
    connect_timeout_s: float = Field(default=5.0, gt=0)
    read_timeout_s: float = Field(default=30.0, gt=0)
    write_timeout_s: float = Field(default=30.0, gt=0)
    pool_timeout_s: float = Field(default=120.0, gt=0)
    attempt_timeout_s: float = Field(default=120.0, gt=0)
    retry: Retry = Retry()
    proxy: SecretStr | None = None
    ca_file: Path | None = None


class Tier(Section):
    """Calls in any sliding window of that length; unset: no bound."""

    per_second: int | None = Field(default=None, ge=1)
    per_minute: int | None = Field(default=None, ge=1)
    per_day: int | None = Field(default=None, ge=1)


class Provider(Section):
    """One HTTP service. The key goes into a header (after `api_key_prefix`) or a query parameter, to `base_url` only.

    Unset sizes and timeouts are those of `http`. A provider without tiers is not limited.
    """

    base_url: str | None = None
    api_key: SecretStr | None = None
    api_key_header: str | None = None
    api_key_prefix: str = ""
    api_key_query: str | None = None
    tier: str = "free"
    tiers: dict[str, Tier] = {}
    max_connections: int | None = Field(default=None, ge=1)
    max_keepalive_connections: int | None = Field(default=None, ge=0)
    read_timeout_s: float | None = Field(default=None, gt=0)

    @field_validator("base_url")
    @classmethod
    def _no_credentials(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("give http:// or https://")
        if url is not None and "@" in url.partition("://")[2].partition("/")[0]:
            raise ValueError("holds credentials; give them as api_key")
        return url

    @model_validator(mode="after")
    def _known_tier(self) -> Provider:
        if self.tiers and self.tier not in self.tiers:
            raise ValueError(f"tier {self.tier!r} is none of {', '.join(self.tiers)}")
        return self


PROVIDERS: dict[str, dict[str, Any]] = {
    "fmp": {
        "base_url": "https://financialmodelingprep.com",
        "api_key_query": "apikey",
        "tiers": {"free": {"per_day": 250}, "paid": {"per_day": 30_000}},
    },
    "polygon": {
        "base_url": "https://api.polygon.io",
        "api_key_header": "Authorization",
        "api_key_prefix": "Bearer ",
        "tiers": {"free": {"per_minute": 5}, "paid": {}},
    },
    "coinbase": {
        "base_url": "https://api.coinbase.com",
        "tiers": {"free": {"per_second": 30}, "paid": {"per_second": 100}},
    },
    "ibkr": {
        "base_url": "https://localhost:5000",
        "tiers": {"free": {"per_second": 50}, "paid": {}},
    },
}
"""The table of providers and tiers in the performance notes ("30k+" and "100+" at their lower end). Settings add to it
and change single values of it."""


class RateLimits(Section):
    """Limits shared through Redis. `fallback`: what happens when it does not answer: `refuse` the call, or `local`:
    each process keeps to `fallback_share` of every limit by itself. `slack_s`: how late a call may begin after its
    permit; it must exceed the round trip to Redis. `wait_s_max`: a call whose turn is further off is refused.
    `allow_volatile`: a day's calls may be counted by a Redis that keeps nothing on disk.
    """

    fallback: Literal["refuse", "local"] = "refuse"
    fallback_share: float = Field(default=0.25, gt=0, le=1)
    slack_s: float = Field(default=0.02, ge=0.001, le=0.5)
    wait_s_max: float = Field(default=90.0, ge=0)
    allow_volatile: bool = False


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `under`, key by key, all the way down."""
    both = dict(under)
    for key, value in over.items():
        below = both.get(key)
        both[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return both


def with_known_providers(given: Any) -> Any:
    """What was given for `providers` on top of PROVIDERS; anything but a mapping is left to be refused."""
    return merged(PROVIDERS, given) if isinstance(given, Mapping) else given
