"""Generated source to compiled functions, cached on disk by content, so that every process compiles a kernel once."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from mts1b.foundation.ids import digest

_loaded: dict[str, ModuleType] = {}
_wrappers: list[Callable[[Any], Any]] = []
_roots: list[Path] = []

SOURCE_TIME_NS = 1_000_000_000 * 10**9
"""Modification time given to every source file: numba's cache is keyed by it, so equal content has equal keys."""


def cache_root() -> Path:
    """Directory of kernels, private to the user; one of this process only where the home cannot be written."""
    if not _roots:
        wanted = Path.home() / ".cache" / "mts1b" / "kernels"
        try:
            wanted.mkdir(parents=True, exist_ok=True, mode=0o700)
            writable = os.access(wanted, os.W_OK)
        except OSError:
            writable = False
        _roots.append(wanted if writable else Path(tempfile.mkdtemp(prefix="mts1b-kernels-")))
    return _roots[0]


def load(source: str) -> ModuleType:
    """Import `source` as a module. Its `@njit(cache=True)` functions come from the disk cache when it has them."""
    key = digest("kernel", source)
    if key not in _loaded:
        path = cache_root() / f"kernel_{key}.py"
        if not path.exists() or path.read_text() != source:
            _write(path, source)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # the cached code looks its module up by name
        spec.loader.exec_module(module)
        _loaded[key] = _wrapped(module)
    return _loaded[key]


def wrap_with(wrapper: Callable[[Any], Any]) -> None:
    """Have `load` hand out what it loads from now on with every compiled function put through `wrapper`.

    For measuring: within a module compiled functions go on calling each other directly.
    """
    _wrappers.append(wrapper)


def _wrapped(module: ModuleType) -> ModuleType:
    if not _wrappers:
        return module
    outside = ModuleType(module.__name__)
    for name, value in vars(module).items():
        if hasattr(value, "py_func"):
            for wrapper in _wrappers:
                value = wrapper(value)
            setattr(outside, name, value)
    return outside


def _write(path: Path, source: str) -> None:
    """Whole or not at all, however many processes do it at once."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    with os.fdopen(handle, "w") as file:
        file.write(source)
    os.utime(temporary, ns=(SOURCE_TIME_NS, SOURCE_TIME_NS))
    Path(temporary).replace(path)
