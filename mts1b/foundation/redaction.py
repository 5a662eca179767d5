"""What must never be shown: every secret this process has read is remembered here and taken out of text.

Shown text passes through `scrub`: errors, log lines, spans, events. It finds remembered secrets in the forms they are
written in (as they are, percent-encoded, escaped), and by their place: `scheme://user:secret@host`, `apikey=secret`,
`Bearer secret`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

MASK = "***"

LENGTH_MIN = 6
"""Shorter secrets are masked by name and place only: looking for them in text would take words apart."""

NAMED = re.compile(
    r"passw|secret|token|api_?key|authori[sz]ation|credential|cookie|private_?key|\bdsn\b|_dsn$", re.IGNORECASE
)
"""Names of fields whose whole value is a secret."""

_IN_URL = re.compile(r"(?<=://)[^/\s@'\"]+(?=@)")
_IN_QUERY = re.compile(r"(?i)\b(api_?key|access_?token|token|secret|password|signature)(=|%3D)[^&\s'\"]+")
_BEARER = re.compile(r"(?i)\b(bearer|basic) +[A-Za-z0-9._~+/=-]{6,}")

_known: tuple[str, ...] = ()
"""Longest first, so that a secret within another does not spoil it."""


def remember(secret: str) -> None:
    """From now on `scrub` takes this value out, in this process. Values under LENGTH_MIN characters are ignored."""
    global _known
    forms = {form for form in _forms(secret) if len(form) >= LENGTH_MIN}
    if not forms.issubset(_known):
        _known = tuple(sorted({*_known, *forms}, key=lambda form: (-len(form), form)))


def scrub(text: str) -> str:
    """The text with MASK in place of every secret in it."""
    text = without_remembered(text)
    if "://" in text:
        text = _IN_URL.sub(MASK, text)
    if "=" in text or "%3D" in text:
        text = _IN_QUERY.sub(rf"\1\2{MASK}", text)
    if "earer" in text or "asic" in text or "EARER" in text:
        text = _BEARER.sub(rf"\1 {MASK}", text)
    return text


def without_remembered(text: str) -> str:
    """The text without the secrets that this process has read; what merely looks like one stays. 0.1 us for each."""
    for form in _known:
        if form in text:
            text = text.replace(form, MASK)
    return text


def scrubbed(value: object, name: str = "") -> object:
    """A value as it may be shown under `name`: text scrubbed, containers gone through, named secrets masked whole."""
    if name and value is not None and not isinstance(value, bool | int | float) and NAMED.search(name):
        return MASK
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, bytes):
        return scrub(value.decode(errors="replace"))
    if isinstance(value, Mapping):
        return {key: scrubbed(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [scrubbed(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return scrub(str(value))


def _forms(secret: str) -> set[str]:
    """The ways a secret is written: itself, its lines, percent-encoded, escaped; of a URL the password alone too."""
    from json import dumps
    from urllib.parse import quote, quote_plus, unquote, urlsplit

    parts = {secret, *(line for line in secret.splitlines() if not line.startswith("-----"))}
    if "://" in secret:
        try:
            password = urlsplit(secret).password
        except ValueError:
            password = None
        if password:
            parts |= {password, unquote(password)}
    return {
        form
        for part in parts
        for form in (
            *(part, quote(part, safe=""), quote_plus(part), repr(part)[1:-1]),
            *(dumps(part)[1:-1], dumps(part, ensure_ascii=False)[1:-1]),
        )
    }
