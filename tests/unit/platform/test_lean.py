from __future__ import annotations

import sys

import pytest

from mts1b.platform.lean import left_out, without


@pytest.fixture(autouse=True)
def not_loaded() -> None:
    sys.modules.pop("colorsys", None)


def test_a_companion_is_hidden_in_the_body_alone() -> None:
    with without("colorsys"), pytest.raises(ImportError):
        import colorsys
    import colorsys  # noqa: F811

    with without("colorsys"):  # loaded already: nothing is saved by hiding it
        import colorsys  # noqa: F811
    assert colorsys.rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)


def test_it_comes_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), without("colorsys"):
        _ = 1 / 0
    assert "colorsys" not in sys.modules


def test_a_part_that_is_left_out_has_empty_classes_in_the_body_alone() -> None:
    with left_out("colorsys"):
        from colorsys import Cluster  # type: ignore[attr-defined]

        assert isinstance(Cluster("any", thing=1), Cluster) and not hasattr(Cluster(), "get")
    import colorsys

    assert colorsys.rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0) and not hasattr(colorsys, "Cluster")
