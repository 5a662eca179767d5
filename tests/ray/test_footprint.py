"""Memory of primitives and services, at a quick size: each is measured, and within the source's figure."""

from __future__ import annotations

from mts1b.bench.footprint import LIBRARIES, PRIMITIVES, memory
from mts1b.bench.footprint_task import gpu_host
from mts1b.bench.session import Session
from mts1b.config import Settings
from mts1b.deploy.ray_client import connect_ray
from mts1b.foundation.clock import SystemClock

SERVICES = ("marketdata", "oms", "riskengine", "research")


def kernels_loaded() -> None:
    """What a worker does that computes a sweep."""
    gpu_host({})


def test_everything_is_within_the_sources_figures(settings: Settings) -> None:
    ray = connect_ray(settings)  # its workers hold what they used before, and must not be taken for idle ones
    ray.get([ray.remote(kernels_loaded).remote() for _ in range(4)])
    found = memory(Session(SystemClock(), quick=True), settings)
    figures = found.figures
    over = [name.removesuffix("_within") for name, kept in found.versus.items() if not kept]
    assert not over, {name: size for name, size in figures.items() if name.startswith((*over, "ray_base"))}
    for name in PRIMITIVES:
        assert 0 < figures[f"{name}_uss_mb"] <= figures[f"{name}_rss_mb"] + 1
    for name in (*SERVICES, *LIBRARIES):
        for state in ("idle", "active"):
            assert 0 < figures[f"{name}_{state}_uss_mb"] <= figures[f"{name}_{state}_rss_mb"] + 1
    assert figures["oms_active_above_base_mb"] == figures["oms_active_rss_mb"] - figures["ray_base_rss_mb"]
    assert figures["within"] == figures["judged"] == len(PRIMITIVES) + 2 * len((*SERVICES, *LIBRARIES)) + 1
