"""Secrets leave no trace in shown text."""

from __future__ import annotations

import json
import pickle
from urllib.parse import quote

import pytest

from mts1b.foundation import redaction
from mts1b.foundation.errors import StackError

SECRET = 's3cr"t\\ßfor+one test'


@pytest.fixture(autouse=True)
def remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_known", ())
    redaction.remember(SECRET)


@pytest.mark.parametrize(
    "written", [str, repr, json.dumps, lambda text: quote(text, safe=""), lambda text: f"a{text}b"]
)
def test_a_remembered_secret_goes_in_every_form(written: object) -> None:
    text = written(SECRET)  # type: ignore[operator]
    assert redaction.scrub(f"before {text} after").startswith("before ")
    assert "for" not in redaction.scrub(text) and "***" in redaction.scrub(text)


def test_the_password_of_a_remembered_url_goes_alone_too() -> None:
    redaction.remember("postgres://me:p%40ssw0rd@h:5432/d")
    assert redaction.scrub("p@ssw0rd and p%40ssw0rd") == "*** and ***"


def test_lines_of_a_remembered_key_go_alone_too() -> None:
    redaction.remember("-----BEGIN EC KEY-----\nabcdefghijkl\nmnopqrstuv\n-----END EC KEY-----")
    assert redaction.scrub("got mnopqrstuv") == "got ***"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://:unknown-pw@h:1/0", "redis://***@h:1/0"),
        ("GET https://h/a?apikey=abc123&x=1", "GET https://h/a?apikey=***&x=1"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer ***"),
        ("postgres://h/d", "postgres://h/d"),
        ("an ordinary line, a@b.example", "an ordinary line, a@b.example"),
    ],
)
def test_secrets_are_known_by_their_place(text: str, shown: str) -> None:
    assert redaction.scrub(text) == shown


def test_short_values_are_not_looked_for() -> None:
    redaction.remember("abc")
    assert redaction.scrub("abc") == "abc"


def test_values_are_gone_through() -> None:
    held = {
        "password": "x",
        "tokens": 7,
        "deep": [{"api_key": b"y"}, f"a {SECRET}".encode()],
        "at": None,
        "e": OSError(SECRET),
    }
    assert redaction.scrubbed(held) == {
        "password": "***",
        "tokens": 7,
        "deep": [{"api_key": "***"}, "a ***"],
        "at": None,
        "e": "***",
    }


def test_errors_show_no_secret_and_survive_pickling() -> None:
    error = StackError("x", SECRET, f"{SECRET} is bad", "mend")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "x='***': *** is bad; mend"
