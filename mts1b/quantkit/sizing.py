"""How much of it to hold. Scalar functions without state: the kernels compile them, the order path calls them.

They hold nothing that numba cannot compile (no keyword-only arguments, no errors raised), so one definition sizes the
backtest and the live order. A number that cannot size anything (NaN, a zero or negative spread) gives 0: hold nothing.
"""

from __future__ import annotations


def fixed_weight(signal: float, weight: float) -> float:
    """`weight` long while the signal is above 0, short while below, 0 at 0 and where it is not known."""
    if signal > 0.0:
        return weight
    if signal < 0.0:
        return -weight
    return 0.0


def vol_target_weight(vol_annual: float, target_annual: float, cap: float) -> float:
    """Weight that brings a name of volatility `vol_annual` to `target_annual`, never above `cap`.

    Both volatilities are fractions a year (0.15 is 15 %); the weight is a fraction of the name's share of NAV.
    A volatility of 0 (a halted name) or NaN (not warmed up) gives 0, not the cap.
    """
    if vol_annual > 0.0 and target_annual > 0.0 and cap > 0.0:
        weight = target_annual / vol_annual
        return weight if weight < cap else cap
    return 0.0


def kelly_fraction(mean: float, variance: float, fraction: float, cap: float) -> float:
    """Kelly weight of a return stream: `fraction * mean / variance`, held within [-cap, cap].

    `mean` and `variance` are of the excess return over the same period (any: the period cancels out); `fraction` 0.5
    is half Kelly. A variance of 0 or NaN gives 0.
    """
    if variance > 0.0 and cap > 0.0:
        weight = fraction * mean / variance
        if weight > cap:
            return cap
        if weight < -cap:
            return -cap
        if weight == weight:  # false for NaN only
            return weight
    return 0.0


def kelly_bet(win_rate: float, payoff: float) -> float:
    """Kelly stake of a bet that wins `payoff` times the stake with probability `win_rate`, else loses the stake.

    `payoff` is average win over average loss, both positive. Negative results mean: do not bet. NaN or a payoff that
    is not positive gives 0.
    """
    if payoff > 0.0 and win_rate == win_rate:
        return win_rate - (1.0 - win_rate) / payoff
    return 0.0
