"""Which backend a sweep runs on: the source's rule, applied to what there is to do and what there is to do it with.

The rule is the source's ("When CPU is fine", "When GPU pays off", "Tuning checklist"). Its reasons for a GPU decide
whether one is thought of at all, estimated times whether it is taken: a cluster may have many cores and one GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

NAMES_FEW, NAMES_CHECKLIST, NAMES_MANY = 100, 100, 200
YEARS_FEW = 5.0
COMBINATIONS_MANY = 1_000
DAILY = "daily"

GPU_CORES = 20.0
"""Cores that one GPU is taken for where its rate is not measured: 10 hours by 30 minutes, the source's ladder on a CPU
and on an RTX 4090 (60 on an H100). An assumption, about other code than ours, on the careful side."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A sweep: names S, bars T over `years`, interval of the bars, combinations, folds of a cross-validation; and
    `beyond_gpu`: the options of its execution that the GPU's kernels do not know."""

    names: int
    bars: int
    years: float
    interval: str
    combinations: int
    folds: int = 0
    beyond_gpu: tuple[str, ...] = ()

    @property
    def bar_steps(self) -> int:
        """Bars x names x combinations: folds are judged from the one pass and add next to nothing."""
        return self.names * self.bars * self.combinations


@dataclass(frozen=True, slots=True)
class Machine:
    """What the work can be spread over: CPU cores and usable GPUs, of a cluster or of this process."""

    cpus: int
    gpus: int


@dataclass(frozen=True, slots=True)
class Rates:
    """Bar-steps a second of one core and of one GPU, and where each number comes from, in words."""

    cpu_per_s: float
    cpu_from: str
    gpu_per_s: float
    gpu_from: str

    @classmethod
    def with_gpu_assumed(cls, cpu_per_s: float, cpu_from: str) -> Rates:
        """A GPU taken for GPU_CORES cores."""
        told = f"assumed, not measured: {GPU_CORES:g} cores, the source's ladder on a CPU over that on an RTX 4090"
        return cls(cpu_per_s, cpu_from, cpu_per_s * GPU_CORES, told)


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of the source's rule: the backend it speaks for, its words, what is the case here, whether it holds."""

    backend: str
    rule: str
    here: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """The backend chosen and why. `estimates_s`: wall seconds of the kernels by backend, those that could be used."""

    backend: str
    reason: str
    findings: tuple[Finding, ...]
    rates: Rates
    estimates_s: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"findings": [asdict(finding) for finding in self.findings]}


def choose(work: Workload, machine: Machine, rates: Rates) -> Choice:
    """The backend for this work. Without a usable GPU always cpu."""
    findings = apply_rule(work, machine)
    estimates = {"cpu": work.bar_steps / (rates.cpu_per_s * max(machine.cpus, 1))}
    if machine.gpus and not work.beyond_gpu:
        estimates["gpu"] = work.bar_steps / (rates.gpu_per_s * machine.gpus)
    backend, reason = _decide(findings, machine, estimates)
    return Choice(backend, reason, findings, rates, estimates)


def apply_rule(work: Workload, machine: Machine) -> tuple[Finding, ...]:
    """Every line of the source's rule, as it applies here."""
    names, combinations = f"{work.names:,} names", f"{work.combinations:,} combinations"
    period = f"{work.years:.1f} years of {work.interval} bars"
    folds = f"{work.folds:,} folds"
    daily = work.interval == DAILY
    has = f"{machine.gpus} GPUs, {machine.cpus} CPUs"
    asks = ", ".join(work.beyond_gpu) or "none"
    return (
        Finding("cpu", f"universe under {NAMES_FEW} symbols", names, work.names < NAMES_FEW),
        Finding("cpu", f"period under {YEARS_FEW:g} years daily", period, daily and work.years < YEARS_FEW),
        Finding("cpu", "one-off run (no sweep)", combinations, work.combinations == 1 and not work.folds),
        Finding("cpu", "development without CUDA", has, not machine.gpus),
        Finding("cpu", "options the GPU's kernels do not know", asks, bool(work.beyond_gpu)),
        Finding("gpu", f"universe over {NAMES_MANY} symbols", names, work.names > NAMES_MANY),
        Finding("gpu", f"checklist: universe over {NAMES_CHECKLIST}", names, work.names > NAMES_CHECKLIST),
        Finding("gpu", "intraday bars", f"{work.interval} bars", not daily),
        Finding(
            "gpu", f"sweep over {COMBINATIONS_MANY:,} combinations", combinations, work.combinations > COMBINATIONS_MANY
        ),
        Finding("gpu", "walk-forward (multi-fold runs)", folds, work.folds > 1),
    )


def _decide(findings: tuple[Finding, ...], machine: Machine, estimates: Mapping[str, float]) -> tuple[str, str]:
    """Backend and reason."""
    if not machine.gpus:
        return "cpu", "there is no GPU to use"
    if "gpu" not in estimates:
        return "cpu", "its execution is more than the GPU's kernels know"
    reasons = [finding.rule for finding in findings if finding.backend == "gpu" and finding.holds]
    if not reasons:
        return "cpu", "none of the source's reasons for a GPU holds"
    if estimates["gpu"] >= estimates["cpu"]:
        return "cpu", f"{machine.cpus} cores are estimated to be as fast as {machine.gpus} GPUs"
    return "gpu", "; ".join(reasons)
