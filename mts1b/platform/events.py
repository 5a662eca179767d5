"""Which event goes by which subject: the one list of what is said on the bus, and by which model.

A subject is `mts.v<version>.<system>.<entity>.<event>`, as `mts.v1.oms.fills.created`. The version is that of the
schema: fields may be added with a default; any other change is a new version, beside the old one. Readers skip fields
that they do not know.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, PlainSerializer, ValidationError

from mts1b.foundation.errors import DataError, InputError, unknown_name
from mts1b.foundation.redaction import without_remembered

PREFIX = "mts"
SUBJECT = re.compile(r"mts\.v([1-9]\d*)\.([a-z0-9-]+\.[a-z0-9-]+\.[a-z0-9-]+)")
FORM = "mts.v<version>.<system>.<entity>.<event>, in lower case"

Exact = Annotated[Decimal, PlainSerializer(lambda value: format(value, "f"), return_type=str, when_used="json")]
"""A Decimal that is written as plain text, never with an exponent."""


class Event(BaseModel):
    """Something that happened, as the bus tells it. Subclasses are registered with `event`."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Registered:
    """One entry: its subject, its model, and the field whose value tells one event from all others of the subject."""

    subject: str
    version: int
    name: str
    model: type[Event]
    key: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """An event as it is sent: of two with the same subject and id the bus keeps one."""

    subject: str
    message_id: str
    payload: bytes


_by_subject: dict[str, Registered] = {}
_by_model: dict[type[Event], Registered] = {}


def event(name: str, key: str, version: int = 1) -> Callable[[type[E]], type[E]]:
    """Register a model under `<system>.<entity>.<event>`. `key` is the field that identifies one event for ever."""
    subject = f"{PREFIX}.v{version}.{name}"
    if SUBJECT.fullmatch(subject) is None:
        raise InputError("subject", subject, "is not a subject of this platform", f"give {FORM}")

    def register(model: type[E]) -> type[E]:
        if key not in model.model_fields:
            raise unknown_name("key", key, model.model_fields)
        held = _by_subject.get(subject)
        if held is not None and _full_name(held.model) != _full_name(model):
            raise InputError("subject", subject, f"belongs to {_full_name(held.model)}", "give a version or a name")
        _by_subject[subject] = _by_model[model] = Registered(subject, version, name, model, key)
        return model

    return register


def _full_name(model: type[Event]) -> str:
    return f"{model.__module__}.{model.__qualname__}"


def registered() -> list[Registered]:
    """Every entry of this process, by subject. Models are registered when their modules are imported."""
    return sorted(_by_subject.values(), key=lambda item: item.subject)


def registered_model(model: type[Event]) -> Registered:
    """The entry of a model. InputError when it has none."""
    if model not in _by_model:
        raise InputError("event", model.__name__, "has no subject", "register it with @event")
    return _by_model[model]


def registered_subject(subject: str) -> Registered:
    """The entry of a subject. UnknownNameError suggests the nearest."""
    if subject not in _by_subject:
        raise unknown_name("subject", subject, _by_subject)
    return _by_subject[subject]


def encode(happened: Event) -> Encoded:
    """Subject, id and JSON of an event, without secrets. InputError: its model has no subject, or its key is empty."""
    entry = registered_model(type(happened))
    message_id = str(getattr(happened, entry.key))
    if not message_id:
        raise InputError(entry.key, message_id, f"identifies nothing ({entry.subject})", "give each event its own")
    return Encoded(entry.subject, message_id, without_remembered(happened.model_dump_json()).encode())


def decode(subject: str, payload: bytes) -> Event:
    """The event that a message holds. UnknownNameError: nobody registered the subject; DataError: a broken payload."""
    return decode_as(registered_subject(subject).model, payload)


def decode_as(model: type[E], payload: bytes) -> E:
    """The event of a known model. DataError names the first field that is wrong."""
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        first: Any = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "payload"
        raise DataError(f"{model.__name__}.{field}", first["type"], first["msg"], "mend the publisher") from None
