"""Settings: layers and their order, strictness, origins, secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mts1b import config
from mts1b.cli.main import build_app
from mts1b.config_layers import annotation_at, shown
from mts1b.config_sections import Section
from mts1b.foundation.errors import InputError, UnknownNameError

SECRET = "planted-secret-4711"


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    config.set_command_line()


def mts(*arguments: str) -> tuple[int, str]:
    """Exit code and standard output of one command."""
    done = CliRunner().invoke(build_app(("config", "audit")), list(arguments))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


def test_defaults_are_whole() -> None:
    settings = config.load_settings()
    assert settings.data_dir.is_absolute() and settings.db.primary.pool_size == 20
    assert settings.lake_root == settings.data_dir / "lake"


SERVICES = ("marketdata", "oms", "riskengine", "research", "gpubacktester", "datalake", "watchdog", "llm")
PRIMITIVES = ("db", "cache", "eventbus", "http", "providers", "ratelimits", "logging", "telemetry", "secrets", "ray")


@pytest.mark.parametrize("name", (*SERVICES, *PRIMITIVES))
def test_every_service_has_its_section(name: str) -> None:
    held = getattr(config.load_settings(), name)
    assert isinstance(held, Section | dict)


def test_the_sources_table_of_providers_is_there() -> None:
    """FMP 250 a day and 30k, Polygon 5 a minute, Coinbase 30 and 100 a second, IBKR 50 a second; the rest unlimited."""
    held = {
        (name, tier): (limits.per_second, limits.per_minute, limits.per_day)
        for name, provider in config.load_settings().providers.items()
        for tier, limits in provider.tiers.items()
    }
    assert held == {
        ("fmp", "free"): (None, None, 250),
        ("fmp", "paid"): (None, None, 30_000),
        ("polygon", "free"): (None, 5, None),
        ("polygon", "paid"): (None, None, None),
        ("coinbase", "free"): (30, None, None),
        ("coinbase", "paid"): (100, None, None),
        ("ibkr", "free"): (50, None, None),
        ("ibkr", "paid"): (None, None, None),
    }


def test_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults, file, environment, command line; each layer changes single values of the one below."""
    (tmp_path / "mts1b.yaml").write_text(
        "db:\n  primary:\n    dsn: postgres://file\n    pool_size: 50\n    max_overflow: 20\n"
    )
    assert config.load_settings().db.primary.pool_size == 50
    monkeypatch.setenv("MTS_DB__PRIMARY__POOL_SIZE", "7")
    settings = config.load_settings()
    assert (settings.db.primary.pool_size, settings.db.primary.max_overflow) == (7, 20)
    config.set_command_line(["db.primary.pool_size=8", "ray.num_cpus=2"])
    settings = config.load_settings(ray={"gcs_port": 99})
    assert (settings.db.primary.pool_size, settings.ray.num_cpus, settings.ray.gcs_port) == (8, 2, 99)
    assert config.load_settings(data_dir=tmp_path / "x").data_dir == tmp_path / "x"


def test_a_named_file_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTS_CONFIG", str(tmp_path / "other.yaml"))
    with pytest.raises(InputError, match="no such file"):
        config.load_settings()
    (tmp_path / "other.yaml").write_text("oms:\n  orders_in_flight: 3\nresearch:\n")
    assert config.load_settings().oms.orders_in_flight == 3
    (tmp_path / "third.yaml").write_text("oms:\n  orders_in_flight: 4\n")
    config.set_command_line(file=tmp_path / "third.yaml")
    assert config.load_settings().oms.orders_in_flight == 4


def test_one_value_of_a_provider_changes_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mts1b.yaml").write_text(
        "providers:\n  polygon:\n    tier: paid\n  fmp:\n    tiers:\n      free:\n        per_day: null\n"
        "  own:\n    base_url: http://own.example\n"
    )
    monkeypatch.setenv("MTS_PROVIDERS__OWN__TIERS", '{"free": {"per_second": 3}}')
    held = config.load_settings().providers
    assert (held["polygon"].tier, held["polygon"].tiers["free"].per_minute) == ("paid", 5)
    assert held["fmp"].tiers["free"].per_day is None and held["own"].tiers["free"].per_second == 3


@pytest.mark.parametrize(
    ("text", "field", "told"),
    [
        ("db:\n  primary:\n    pool_sise: 3\n", "db.primary.pool_sise", "did you mean db.primary.pool_size?"),
        ("db:\n  primary:\n    pool_size: 0\n", "db.primary.pool_size", "greater than or equal to 1"),
        ("rays: {}\n", "rays", "did you mean ray?"),
        ("qqq: 3\n", "qqq", "known here: data_dir, db"),
        ("ray:\n  dashboard_port: 70000\n", "ray.dashboard_port", "65535"),
        ("ray: [", "settings file", "line 1"),
        ("- 3\n", "settings file", "mapping"),
        ("providers:\n  fmp:\n    tier: gold\n", "providers.fmp", "none of free, paid"),
        ("providers:\n  fmp:\n    base_url: https://u:pw@h\n", "providers.fmp.base_url", "credentials"),
        ("providers: 7\n", "providers", "valid dictionary"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, field: str, told: str) -> None:
    (tmp_path / "mts1b.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        config.load_settings()
    assert caught.value.field == field and caught.value.exit_code == 2
    assert told in str(caught.value) and "mts1b.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("MTS_RAYS", "1", "did you mean ray?"),
        ("MTS_DB__PRIMARY__POOLSIZE", "1", "did you mean db.primary.pool_size?"),
        ("MTS_DB__PRIMARY__POOL_SIZE", "many", "in MTS_DB__PRIMARY__POOL_SIZE"),
        ("MTS_RAY", "{", "is not JSON"),
    ],
)
def test_mistakes_in_the_environment_are_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InputError) as caught:
        config.load_settings()
    assert told in str(caught.value)


def test_an_unknown_option_is_an_error() -> None:
    config.set_command_line(["oms.order_in_flight=3"])
    with pytest.raises(UnknownNameError, match=r"did you mean oms.orders_in_flight"):
        config.load_settings()
    config.set_command_line(["oms"])
    with pytest.raises(InputError, match="not key=value"):
        config.load_settings()


def test_secrets_do_not_print(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTS_DB__PRIMARY__DSN", f"postgres://u:{SECRET}@h/d")
    assert SECRET not in repr(config.load_settings())
    assert SECRET not in str(InputError("x", f"a {SECRET} b", "is bad"))
    monkeypatch.setenv("MTS_DB__PRIMARY__DNS", f"postgres://u:{SECRET}2@h/d")
    with pytest.raises(InputError) as caught:
        config.load_settings()
    assert SECRET not in str(caught.value)


def test_show_tells_origins_and_masks_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mts1b.yaml").write_text(
        f"db:\n  primary:\n    dsn: postgres://u:{SECRET}@h/d\n    max_overflow: 20\n"
        "providers:\n  fmp:\n    api_key: vault://mts1b/fmp#api_key\n"
    )
    monkeypatch.setenv("MTS_DB__PRIMARY__POOL_SIZE", "7")
    code, out = mts("--set", "oms.orders_in_flight=2", "config", "show", "--data-dir", "/there", "--json")
    told = {row["key"]: (row["value"], row["origin"], row["where"]) for row in json.loads(out)}
    assert code == 0 and SECRET not in out
    assert told["db.primary.dsn"] == ("***", "file", "mts1b.yaml")
    assert told["db.primary.max_overflow"] == (20, "file", "mts1b.yaml")
    assert told["db.primary.pool_size"] == (7, "environment", "MTS_DB__PRIMARY__POOL_SIZE")
    assert told["oms.orders_in_flight"] == (2, "command line", "--set oms.orders_in_flight")
    assert told["data_dir"][:2] == ("/there", "command line")
    assert told["cache.url"] == (None, "default", "")
    assert told["providers.fmp.api_key"][0] == "vault://mts1b/fmp#api_key"
    code, out = mts("config", "show", "db", "--changed")
    assert code == 0 and "pool_size" in out and "cache" not in out and SECRET not in out
    with pytest.raises(UnknownNameError, match="did you mean"):
        mts("config", "show", "dbb")


def test_check_names_everything_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mts1b.yaml"
    file.write_text("db:\n  primary:\n    pool_sise: 3\nray:\n  num_cpus: 0\n")
    code, out = mts("config", "check", "--json")
    told = json.loads(out)
    assert code == 2 and not told["ok"]
    assert [row["setting"] for row in told["mistakes"]] == ["db.primary.pool_sise", "ray.num_cpus"]
    file.write_text("providers:\n  own:\n    api_key: abcdefgh\n")
    file.chmod(0o644)
    code, out = mts("config", "check", "--json")
    told = json.loads(out)
    assert code == 0 and told["ok"] and len(told["warnings"]) == 3 and "chmod 600" in told["warnings"][2]
    file.write_text(f"providers:\n  own:\n    api_key: file://{tmp_path}/nothing\n")
    assert mts("config", "check")[0] == 0
    code, out = mts("config", "check", "--secrets", "--json")
    assert code == 2 and json.loads(out)["mistakes"][0]["setting"] == "providers.own.api_key"
    (tmp_path / "nothing").write_text("something-of-a-test")
    assert mts("config", "check", "--secrets")[0] == 0
    monkeypatch.setenv("MTS_OMS__ORDERS_IN_FLIGHT", "2")
    assert mts("config", "check") == (0, "settings hold: mts1b.yaml, 1 from the environment\n")


def test_every_declared_setting_can_be_shown_and_found() -> None:
    reading = config.read_settings()
    told = reading.described()
    assert len({setting.key for setting in told}) == len(told)
    for setting in told:
        json.dumps(setting.value)
        if not setting.key.startswith("providers."):
            assert annotation_at(config.Settings, tuple(setting.key.split("."))) is not None
    assert shown(Path("/x")) == "/x" and shown((Path("/x"),)) == ["/x"]
