"""Layers of settings: what a file, the environment and the command line give, put on top of each other.

Everything here is a function of values handed in; `mts1b.config` reads the process's surroundings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError

from mts1b.config_sections import Section, merged
from mts1b.foundation.errors import InputError, UnknownNameError
from mts1b.foundation.redaction import MASK

PREFIX = "MTS_"
Key = tuple[str, ...]

REFERENCES = ("env://", "file://", "vault://")
"""How a secret says where it is to be read; `mts1b.platform.secrets` reads them."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What one place gives. `where` names the exact place of a value: a file, a variable, an option."""

    origin: str
    values: Mapping[str, Any]
    where: Mapping[Key, str] = field(default_factory=dict)

    def holds(self, key: Key) -> bool:
        """Whether this layer gives the value at `key`, or all of what it lies in."""
        at: Any = self.values
        for part in key:
            if not isinstance(at, Mapping):
                return True
            if part not in at:
                return False
            at = at[part]
        return True

    def place(self, key: Key) -> str:
        """Where the value at `key` was written."""
        return next((self.where[key[:size]] for size in range(len(key), -1, -1) if key[:size] in self.where), "")


@dataclass(frozen=True, slots=True)
class Setting:
    """One value as it may be shown: secrets masked. `origin`: default, file, environment or command line."""

    key: str
    value: Any
    origin: str
    where: str


def file_layer(path: Path, given: bool, tree: type[BaseModel]) -> Layer:
    """The settings file. InputError when it is no mapping in YAML, or when it was named (`given`) and is not there."""
    if not given and not path.exists():
        return Layer("file", {})
    import yaml  # a megabyte, for those who have such a file

    try:
        held = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("settings file", str(path), "no such file", "name another, or none") from None
    except OSError as error:
        raise InputError("settings file", str(path), error.strerror or "cannot be read", "mend it") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError("settings file", str(path), _where_broken(error), "mend it") from None
    if held is None:
        held = {}
    if not isinstance(held, Mapping):
        raise InputError("settings file", str(path), "is not a mapping", "write section: and its keys below it")
    return Layer("file", _without_empty_sections(held, tree), {(): str(path)})


def environment_layer(environment: Mapping[str, str], tree: type[BaseModel]) -> Layer:
    """Variables such as `MTS_DB__PRIMARY__POOL_SIZE=50`, for the key db.primary.pool_size."""
    pairs = {
        tuple(name.removeprefix(PREFIX).lower().split("__")): (name, text)
        for name, text in environment.items()
        if name.startswith(PREFIX) and name != "MTS_CONFIG"
    }
    return _written("environment", pairs, tree)


def option_layer(options: Sequence[str], tree: type[BaseModel]) -> Layer:
    """Options such as `--set db.primary.pool_size=50`. InputError when one is not key=value."""
    pairs: dict[Key, tuple[str, str]] = {}
    for option in options:
        name, equals, text = option.partition("=")
        if not (equals and name):
            raise InputError("set", option, "is not key=value", "write --set db.primary.pool_size=50")
        pairs[tuple(name.split("."))] = (f"--set {name}", text)
    return _written("command line", pairs, tree)


def _written(origin: str, pairs: Mapping[Key, tuple[str, str]], tree: type[BaseModel]) -> Layer:
    values: dict[str, Any] = {}
    for key in sorted(pairs, key=len):
        name, text = pairs[key]
        nested: Any = _parsed(name, text, annotation_at(tree, key))
        for part in reversed(key):
            nested = {part: nested}
        values = merged(values, nested)
    return Layer(origin, values, {key: name for key, (name, _) in pairs.items()})


def _parsed(name: str, text: str, annotation: Any) -> Any:
    """Text as the field takes it: JSON for tables and lists, `null` for nothing, else as it stands."""
    kinds = _kinds(annotation)
    if text == "null" and type(None) in kinds:
        return None
    if any(get_origin(kind) in (dict, list, tuple) or _is_section(kind) for kind in kinds):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            raise InputError(name, MASK, "is not JSON", 'write {"key": value}, or set single keys') from None
    return text


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def annotation_at(tree: type[BaseModel], key: Key) -> Any:
    """The declared type of the field at `key`; None when there is no such field."""
    at: Any = tree
    for part in key:
        sections = [kind for kind in _kinds(at) if _is_section(kind)]
        tables = [kind for kind in _kinds(at) if get_origin(kind) is dict]
        if sections and part in sections[0].model_fields:
            at = sections[0].model_fields[part].annotation
        elif tables:
            at = get_args(tables[0])[1]
        else:
            return None
    return at


def _without_empty_sections(held: Mapping[str, Any], tree: type[BaseModel], key: Key = ()) -> dict[str, Any]:
    """A section whose lines are all commented out reads as nothing: that is the section as it is by default."""
    kept = {}
    for name, value in held.items():
        at = (*key, str(name))
        if value is None and _is_section(annotation_at(tree, at)):
            continue
        kept[str(name)] = _without_empty_sections(value, tree, at) if isinstance(value, Mapping) else value
    return kept


def _where_broken(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", "") or "is not text in UTF-8")
    return f"line {mark.line + 1}: {problem}" if mark is not None else problem


def mistakes(error: ValidationError, tree: type[BaseModel], layers: Sequence[Layer]) -> list[InputError]:
    """Every wrong setting, one error each, naming where it was written and, for an unknown key, the nearest known."""
    return [_mistake(found, tree, layers) for found in error.errors(include_url=False)]


def _mistake(found: Any, tree: type[BaseModel], layers: Sequence[Layer]) -> InputError:
    key = tuple(str(part) for part in found["loc"])
    place = next((layer.place(key) for layer in reversed(layers) if layer.holds(key)), "")
    at = f" (in {place})" if place else ""
    if found["type"] == "extra_forbidden":
        known = _names_at(tree, key[:-1])
        return UnknownNameError(".".join(key), MASK, f"unknown setting{at}", _nearest(key, known))
    hidden = _is_secret(annotation_at(tree, key)) or not isinstance(found.get("input"), str | int | float | bool)
    problem = str(found["msg"]).removeprefix("Value error, ")
    return InputError(".".join(key), MASK if hidden else found["input"], f"{problem}{at}", "see `mts config show`")


def _names_at(tree: type[BaseModel], key: Key) -> list[str]:
    sections = [kind for kind in _kinds(annotation_at(tree, key)) if _is_section(kind)]
    return list(sections[0].model_fields) if sections else []


def _nearest(key: Key, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key[-1], known, n=1, cutoff=0.5)
    if near:
        return f"did you mean {'.'.join((*key[:-1], near[0]))}?"
    return f"known here: {', '.join(known)}" if known else "nothing can be set here"


def _is_secret(annotation: Any) -> bool:
    return any(kind is SecretStr for kind in _kinds(annotation))


def leaves(section: BaseModel | Mapping[str, Any], key: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every single value of the tree with its key, in the order of declaration."""
    names = type(section).model_fields if isinstance(section, BaseModel) else section
    for name in names:
        value = getattr(section, name) if isinstance(section, BaseModel) else section[name]
        if isinstance(value, BaseModel) or (isinstance(value, Mapping) and value):
            yield from leaves(value, (*key, name))
        else:
            yield (*key, name), value


def shown(value: Any) -> Any:
    """A value as it may be printed or written as JSON. A reference to a secret is no secret."""
    if isinstance(value, SecretStr):
        text = value.get_secret_value()
        return text if text.startswith(REFERENCES) else MASK
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, list | tuple):
        return [shown(item) for item in value]
    return {} if isinstance(value, Mapping) else str(value)


def described(settings: Section, layers: Sequence[Layer]) -> list[Setting]:
    """Every setting with its value, masked where secret, and where that came from; `layers` from the lowest up."""
    told = []
    for key, value in leaves(settings):
        from_layer = next((layer for layer in reversed(layers) if layer.holds(key)), None)
        origin, where = ("default", "") if from_layer is None else (from_layer.origin, from_layer.place(key))
        told.append(Setting(".".join(key), shown(value), origin, where))
    return told
