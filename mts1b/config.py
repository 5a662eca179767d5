"""The settings tree, one section for each service. The only reader of the process environment.

Order of precedence: values handed in (the command line), environment (`MTS_DB__PRIMARY__DSN`), the file named by
`MTS_CONFIG` or `mts1b.yaml` in the working directory, defaults.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from mts1b.foundation.errors import InputError
from mts1b.foundation.limits import DB_POOL_SIZE_DEFAULT


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Database(Section):
    """One Postgres. `dsn` unset: the embedded server. Sizes in connections."""

    dsn: SecretStr | None = None
    pool_size: int = Field(default=DB_POOL_SIZE_DEFAULT, ge=1)
    max_overflow: int = Field(default=0, ge=0)


class Databases(Section):
    primary: Database = Database()


class EventBus(Section):
    """NATS. `url` unset: the embedded server."""

    url: SecretStr | None = None


class Cache(Section):
    """Redis or Valkey. `url` unset: the embedded server."""

    url: SecretStr | None = None


class RayCluster(Section):
    """The Ray cluster. `address` unset: the stack's own head. Ports: 0 picks a free one."""

    address: str | None = None
    dashboard_port: int = Field(default=0, ge=0, le=65535)
    gcs_port: int = Field(default=0, ge=0, le=65535)
    num_cpus: int | None = Field(default=None, ge=1)
    object_store_bytes: int = Field(default=512 << 20, ge=80 << 20)


class DataLake(Section):
    """Where the lake lies. `root` unset: `lake/` under the data directory."""

    root: Path | None = None


class Research(Section):
    """Where sweep results lie. `root` unset: `results/` under the data directory."""

    root: Path | None = None


class Settings(BaseSettings):
    """Everything that can be set. Paths are absolute once read."""

    model_config = SettingsConfigDict(
        env_prefix="MTS_", env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )

    data_dir: Path = Path("~/.mts1b")
    db: Databases = Databases()
    eventbus: EventBus = EventBus()
    cache: Cache = Cache()
    ray: RayCluster = RayCluster()
    datalake: DataLake = DataLake()
    research: Research = Research()

    def model_post_init(self, _context: Any) -> None:
        object.__setattr__(self, "data_dir", self.data_dir.expanduser().absolute())

    @property
    def lake_root(self) -> Path:
        return (self.datalake.root or self.data_dir / "lake").expanduser().absolute()

    @property
    def results_root(self) -> Path:
        return (self.research.root or self.data_dir / "results").expanduser().absolute()

    @property
    def run_dir(self) -> Path:
        """Sockets, pids, ports and generated credentials of a running stack; readable by its owner only."""
        return self.data_dir / "run"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = Path(os.environ.get("MTS_CONFIG", "mts1b.yaml"))
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls, yaml_file=file)


def load_settings(**given: Any) -> Settings:
    """Read the settings; `given` values win. InputError names the first field that is wrong."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        shown = "***" if {"dsn", "url"} & set(first["loc"]) else first.get("input")
        raise InputError(field, shown, first["msg"], "see `mts1b.config` for the settings") from None
    except yaml.YAMLError as error:
        problem = str(error).replace("\n", " ")
        raise InputError("settings file", environment_value("MTS_CONFIG") or "mts1b.yaml", problem, "mend it") from None


def child_environment(**extra: str) -> dict[str, str]:
    """This process's environment for a child process, with `extra` on top."""
    return {**os.environ, **extra}


def export_environment(values: dict[str, str]) -> None:
    """Set variables that third-party code (Ray) reads from the environment when it is imported."""
    os.environ.update(values)


def environment_value(name: str) -> str | None:
    """One variable that third-party code sets (Ray's `RAY_ADDRESS` inside a job)."""
    return os.environ.get(name)
