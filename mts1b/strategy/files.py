"""Strategies out of users' files: `mine.py`, or `mine.py:name` where the file defines several."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from mts1b.foundation.errors import InputError, MtsError, unknown_name
from mts1b.strategy.definition import Strategy
from mts1b.strategy.library import get_strategy

SUFFIX = ".py"


def strategies_of(path: Path) -> list[Strategy]:
    """The strategies that a user's file defines, in its order; names it has imported are not among them.

    Runs the file. InputError when it cannot be read, fails, or defines none.
    """
    if not path.is_file():
        raise InputError("file", str(path), "does not exist", "give a .py file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError("file", str(path), "is not a Python file", "give a .py file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except MtsError:
        raise
    except Exception as error:  # whatever a user's file does wrong is the user's to see, as one line
        raise InputError("file", str(path), f"fails: {type(error).__name__}: {error}", "correct it") from error
    found = {value.name: value for value in vars(module).values() if isinstance(value, Strategy)}
    if not found:
        raise InputError("file", str(path), "defines no strategy", "decorate a function with @strategy")
    return list(found.values())


def find_strategy(wanted: str) -> Strategy:
    """A strategy of the library by its name, or a user's by `FILE.py` or `FILE.py:NAME`.

    UnknownNameError for a name that does not exist; InputError when a file with several strategies is given alone.
    """
    file, _, name = wanted.rpartition(":") if not wanted.endswith(SUFFIX) else (wanted, "", "")
    if not file.endswith(SUFFIX):
        return get_strategy(wanted)
    found = {one.name: one for one in strategies_of(Path(file))}
    if not name and len(found) > 1:
        raise InputError("strategy", wanted, "the file defines several", f"add one of :{', :'.join(found)}")
    if name and name not in found:
        raise unknown_name(f"strategy of {file}", name, found)
    return found[name] if name else next(iter(found.values()))
