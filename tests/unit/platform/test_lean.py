from __future__ import annotations

import sys

import pytest

from mts1b.platform.lean import without


def test_a_companion_is_hidden_in_the_body_alone() -> None:
    sys.modules.pop("colorsys", None)
    with without("colorsys"), pytest.raises(ImportError):
        import colorsys
    import colorsys  # noqa: F811

    with without("colorsys"):  # loaded already: nothing is saved by hiding it
        import colorsys  # noqa: F811
    assert colorsys.rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)


def test_it_comes_back_after_an_error() -> None:
    sys.modules.pop("colorsys", None)
    with pytest.raises(ZeroDivisionError), without("colorsys"):
        _ = 1 / 0
    assert "colorsys" not in sys.modules
