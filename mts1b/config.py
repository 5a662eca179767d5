"""The settings tree, one section for each service. The only reader of the process environment.

From the lowest layer up: defaults, the file that `mts --config` or `MTS_CONFIG` names (else `mts1b.yaml` in the working
directory, if there is one), the environment (`MTS_OMS__ORDERS_IN_FLIGHT`), the command line (`mts --set KEY=VALUE`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, SecretStr, ValidationError

from mts1b.config_layers import (
    REFERENCES,
    Layer,
    Setting,
    described,
    environment_layer,
    file_layer,
    leaves,
    mistakes,
    option_layer,
)
from mts1b.config_sections import (
    Cache,
    Database,
    Databases,
    DataLake,
    EventBus,
    GpuBacktester,
    Http,
    Llm,
    Logging,
    MarketData,
    Oms,
    Provider,
    RateLimits,
    RayCluster,
    Research,
    RiskEngine,
    Secrets,
    Section,
    Telemetry,
    Watchdog,
    merged,
    with_known_providers,
)
from mts1b.foundation import redaction
from mts1b.foundation.errors import InputError

__all__ = ["Database", "Setting", "Settings", "load_settings"]

DEFAULT_FILE = "mts1b.yaml"


class Settings(Section):
    """Everything that can be set. Paths are absolute once read."""

    data_dir: Path = Path("~/.mts1b")
    db: Databases = Databases()
    eventbus: EventBus = EventBus()
    cache: Cache = Cache()
    ray: RayCluster = RayCluster()
    marketdata: MarketData = MarketData()
    oms: Oms = Oms()
    riskengine: RiskEngine = RiskEngine()
    research: Research = Research()
    gpubacktester: GpuBacktester = GpuBacktester()
    datalake: DataLake = DataLake()
    watchdog: Watchdog = Watchdog()
    llm: Llm = Llm()
    logging: Logging = Logging()
    telemetry: Telemetry = Telemetry()
    secrets: Secrets = Secrets()
    http: Http = Http()
    providers: Annotated[dict[str, Provider], BeforeValidator(with_known_providers)] = {}
    ratelimits: RateLimits = RateLimits()

    def model_post_init(self, _context: Any) -> None:
        object.__setattr__(self, "data_dir", self.data_dir.expanduser().absolute())

    @property
    def lake_root(self) -> Path | str:
        """A directory, or the address of a lake in an object store."""
        root = self.datalake.root
        if root is not None and "://" in root:
            return root
        return Path(root or self.data_dir / "lake").expanduser().absolute()

    @property
    def results_root(self) -> Path:
        return (self.research.root or self.data_dir / "results").expanduser().absolute()

    @property
    def run_dir(self) -> Path:
        """Sockets, pids, ports and generated credentials of a running stack; readable by its owner only."""
        return self.data_dir / "run"

    def running(self, part: str) -> str | None:
        """Where the stack's own `postgres_dsn`, `nats_url` or `valkey_url` answers, with credentials; None: not up."""
        try:
            held = json.loads((self.run_dir / "stack.json").read_text())
        except (OSError, json.JSONDecodeError):
            return None
        return held.get(part) or None


@dataclass(frozen=True, slots=True)
class Reading:
    """Settings together with the layers they came from, the lowest first."""

    settings: Settings
    layers: tuple[Layer, ...]

    def described(self) -> list[Setting]:
        """Every setting, masked where secret, with its origin."""
        return described(self.settings, self.layers)


class _CommandLine:
    """What this process's own options said, before any command reads the settings."""

    options: tuple[str, ...] = ()
    file: Path | None = None


def set_command_line(options: Sequence[str] = (), file: Path | None = None) -> None:
    """Keep `key=value` options and the settings file for every later reading in this process."""
    _CommandLine.options, _CommandLine.file = tuple(options), file


def read_layers(**given: Any) -> tuple[Layer, ...]:
    """File, environment and command line; `given` are values of single options (None: not given). InputError."""
    named = _CommandLine.file or (Path(os.environ["MTS_CONFIG"]) if os.environ.get("MTS_CONFIG") else None)
    options = option_layer(_CommandLine.options, Settings)
    direct = {name: value for name, value in given.items() if value is not None}
    return (
        file_layer(named or Path(DEFAULT_FILE), named is not None, Settings),
        environment_layer(os.environ, Settings),
        Layer("command line", merged(options.values, direct), options.where),
    )


def settings_of(layers: Sequence[Layer]) -> Settings | list[InputError]:
    """The settings that the layers make, or every mistake in them. Their secrets are kept out of all text from here."""
    values: dict[str, Any] = {}
    for layer in layers:
        values = merged(values, layer.values)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        return mistakes(error, Settings, layers)
    for _, value in leaves(settings):
        if isinstance(value, SecretStr) and not value.get_secret_value().startswith(REFERENCES):
            redaction.remember(value.get_secret_value())
    return settings


def read_settings(**given: Any) -> Reading:
    """Settings and where they came from; `given` values win. InputError names the first that is wrong."""
    layers = read_layers(**given)
    settings = settings_of(layers)
    if isinstance(settings, list):
        raise settings[0]
    return Reading(settings, layers)


def load_settings(**given: Any) -> Settings:
    """Read the settings; `given` values win. InputError names the first that is wrong."""
    return read_settings(**given).settings


def child_environment(**extra: str) -> dict[str, str]:
    """This process's environment for a child process, with `extra` on top."""
    return {**os.environ, **extra}


def export_environment(values: dict[str, str]) -> None:
    """Set variables that third-party code (Ray) reads from the environment when it is imported."""
    os.environ.update(values)


def environment_value(name: str) -> str | None:
    """One variable that third-party code sets (Ray's `RAY_ADDRESS` inside a job)."""
    return os.environ.get(name)
