"""The exchange's durable memory: a file of checked lines, each on the disk before anyone hears of it.

A line is `<crc32 of the JSON, 8 hex digits> <JSON>\\n`. A crash may tear the last line, which nobody was told about:
it is cut off on opening. A damaged line anywhere else is a DataError, for what follows it can not be trusted.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import zlib
from pathlib import Path
from typing import Any

from mts1b.foundation.errors import DataError, StackError


def encode(entry: dict[str, Any]) -> bytes:
    """One entry as its line."""
    body = json.dumps(entry, separators=(",", ":"), sort_keys=True).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def decode(line: bytes) -> dict[str, Any] | None:
    """An entry from its line without the newline; None when it is damaged."""
    checksum, _, body = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(body):
        return None
    return dict(json.loads(body))


def recover(content: bytes, path: Path) -> tuple[list[dict[str, Any]], int]:
    """The entries of a log's bytes and how many bytes of them are sound. DataError names a damaged line."""
    entries: list[dict[str, Any]] = []
    sound = 0
    while (end := content.find(b"\n", sound)) >= 0:
        entry = decode(content[sound:end])
        if entry is None:
            if content.find(b"\n", end + 1) >= 0:
                raise DataError("line", f"{path}:{len(entries) + 1}", "damaged", "restore the exchange's log")
            break
        entries.append(entry)
        sound = end + 1
    return entries, sound


class DurableLog:
    """Appends in order, several waiting entries with one fsync. One process at a time may hold a log."""

    def __init__(self, path: Path) -> None:
        """Opens or creates the log and locks it. StackError when another process holds it or it cannot be written."""
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError("log", str(path), "held by another exchange", "stop it, or use another folder") from None
        except OSError as error:
            raise StackError("log", str(path), error.strerror or "cannot be opened", "use another folder") from None
        self.entries, sound = recover(path.read_bytes(), path)
        os.ftruncate(self._file, sound)
        self._waiting: list[bytes] = []
        self._batch: asyncio.Future[None] | None = None
        self._writer: asyncio.Task[None] | None = None

    async def append(self, entry: dict[str, Any]) -> None:
        """Returns when the entry is on the disk. StackError when it could not be written: then stop the exchange."""
        self._waiting.append(encode(entry))
        if self._batch is None:
            self._batch = asyncio.get_running_loop().create_future()
        batch = self._batch
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_batches())
        await asyncio.shield(batch)

    async def _write_batches(self) -> None:
        while self._batch is not None:
            batch, self._batch = self._batch, None
            lines, self._waiting = b"".join(self._waiting), []
            try:
                await asyncio.to_thread(self._write, lines)
            except OSError as error:
                batch.set_exception(StackError("log", str(self.path), error.strerror or "write failed", "free space"))
                return
            batch.set_result(None)

    def _write(self, lines: bytes) -> None:
        view = memoryview(lines)
        while view:
            view = view[os.write(self._file, view) :]
        os.fdatasync(self._file)

    def close(self) -> None:
        """Releases the lock. What was appended is already on the disk."""
        os.close(self._file)
