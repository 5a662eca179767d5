"""One secret, planted in every setting that may hold one, is searched for in everything the project shows."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest

from mts1b.foundation import redaction
from tests.contract.secret_surfaces import SECRET, SURFACES, Planted, planted

FORMS = {
    SECRET,
    quote(SECRET, safe=""),
    quote(SECRET),
    quote_plus(SECRET),
    json.dumps(SECRET)[1:-1],
    repr(SECRET)[1:-1],
    base64.b64encode(SECRET.encode()).decode(),
}


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    before = redaction._known
    yield planted(tmp_path_factory.mktemp("planted"))
    redaction._known = before


@pytest.mark.parametrize("name", SURFACES)
def test_a_planted_secret_does_not_appear(plant: Planted, name: str) -> None:
    text = SURFACES[name](plant)
    assert len(text) > 20, "the surface said nothing: it cannot have been searched"
    found = sorted(form for form in FORMS if form in text)
    assert not found, f"{found[0]!r} in: {text[max(0, text.index(found[0]) - 200) :][:500]}"


def test_it_is_planted_in_every_secret_setting(plant: Planted) -> None:
    """Also in sections that are to come: the fields are found by their type."""
    text = plant.file.read_text()
    for setting in ("dsn", "url", "api_key", "proxy", "token", "role_id", "secret_id"):
        assert f"{setting}:" in text
    assert plant.settings.providers["polygon"].api_key is not None


def test_the_search_can_fail(plant: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing remembered, the secret shows."""
    monkeypatch.setattr(redaction, "_known", ())
    assert any(form in SURFACES["log lines"](plant) for form in FORMS)
