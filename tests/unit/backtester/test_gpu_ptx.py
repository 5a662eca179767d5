"""Every kernel that a GPU would run compiles for every architecture that is promised, here, where there is none."""

from __future__ import annotations

import re

import pytest

from mts1b.backtester.gpu_jit import ARCHITECTURES
from mts1b.backtester.gpu_kernels import SHARED_KERNELS, Kernels, Launchable
from mts1b.strategy import get_strategy
from mts1b.strategy.library import names
from tests.unit.strategy.subjects import EXPRESSIONS, SUBJECTS

FUSED_STEP = "fma.rn.f64"
"""A product and a sum rounded once: a decision on a GPU would differ from a CPU's."""

LIBRARY_CALLS = ("log(", "exp(", "**")
"""What CUDA's own library computes with fused steps."""

done: dict[str, list[str]] = {}


def ptx_of(launched: Launchable, source: str) -> list[str]:
    """PTX for each architecture; the same table in another strategy is the same kernel."""
    if source not in done:
        done[source] = launched.ptx()
    return done[source]


def check(found: list[str], name: str, exact: bool) -> None:
    assert len(found) == len(ARCHITECTURES)
    for text, (major, minor) in zip(found, ARCHITECTURES, strict=True):
        assert f".target sm_{major}{minor}" in text
        assert len(re.findall(r"\.visible \.entry", text)) == 1, name
        assert not exact or FUSED_STEP not in text, name


@pytest.mark.parametrize("name", names())
def test_every_kernel_of_a_strategy_compiles_without_a_device(name: str) -> None:
    kernels = Kernels(get_strategy(name).root)
    assert {"run", "follow"} <= kernels.own.keys()
    exact = not any(call in kernels.source for call in LIBRARY_CALLS)
    for kernel, launched in kernels.own.items():
        start = kernels.source.index(f"def {kernel}(")
        own = kernels.source[start:].split("@kernel", 1)[0]
        key = own.replace(kernel, "") if kernel.startswith("unit_") else f"{name} {kernel}"
        check(ptx_of(launched, key), f"{name} {kernel}", exact)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_node_compiles_without_a_device(name: str) -> None:
    kernels = Kernels(SUBJECTS[name].root)
    for kernel, launched in kernels.own.items():
        if kernel != "follow":
            (text,) = launched.ptx(ARCHITECTURES[:1])
            assert ".visible .entry" in text, kernel


@pytest.mark.parametrize("name", SHARED_KERNELS)
def test_the_kernels_that_all_share_compile_without_a_device(name: str) -> None:
    check(SHARED_KERNELS[name].ptx(), name, exact=name != "summarise")
