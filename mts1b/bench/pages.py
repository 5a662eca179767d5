"""How much of some files a call touches: pages in the page cache after it, with none there before, and bytes asked.

Pages are what the kernel brought in, read-ahead and mapped files included, so they are the honest measure; what a
process asked for (`/proc/self/io`) leaves out what it maps.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

IO = Path("/proc/self/io")


@dataclass(frozen=True, slots=True)
class Touched:
    """`page_bytes`: in the page cache afterwards; `asked_bytes`: this process read; `total_bytes`: of the files."""

    page_bytes: int
    asked_bytes: int
    total_bytes: int

    @property
    def page_share(self) -> float:
        return self.page_bytes / self.total_bytes

    @property
    def asked_share(self) -> float:
        return self.asked_bytes / self.total_bytes


def touched(files: Iterable[Path], call: Callable[[], Result]) -> tuple[Touched, Result]:
    """Run `call` with none of the files in the page cache, and see what of them is there after it."""
    listed = list(files)
    evict(listed)
    before = asked_bytes()
    found = call()
    asked = asked_bytes() - before
    total = sum(path.stat().st_size for path in listed)
    return Touched(sum(resident_bytes(path) for path in listed), asked, total), found


def evict(files: Iterable[Path]) -> None:
    """Have the kernel forget what it holds of these files."""
    for path in files:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def resident_bytes(path: Path) -> int:
    """Bytes of the file that lie in the page cache, in whole pages."""
    size = path.stat().st_size
    if not size:
        return 0
    with path.open("r+b") as file, mmap.mmap(file.fileno(), size) as mapped:  # the call wants a file one may write
        pages = -(-size // mmap.PAGESIZE)
        told = (ctypes.c_ubyte * pages)()
        view = ctypes.c_char.from_buffer(mapped)
        try:
            address = ctypes.addressof(view)
            if _libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), told):
                raise OSError(ctypes.get_errno(), "mincore")
        finally:
            del view
    return sum(page & 1 for page in told) * mmap.PAGESIZE


def asked_bytes() -> int:
    """Bytes this process has asked the system for; 0 where that is not told."""
    return int(IO.read_text().split()[1]) if IO.exists() else 0


_libc = ctypes.CDLL(None, use_errno=True)
