"""A TCP proxy between a client and its server: it adds time to every byte, loses answers, or cuts the line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Proxy:
    """Both ways take half of `round_trip_s`. Connections end with `cut()`.

    What the server says is lost while `mute` is set, and on the connections in `muted`.
    """

    def __init__(self, host: str, port: int, round_trip_s: float = 0.0) -> None:
        self.target, self.round_trip_s, self.mute = (host, port), round_trip_s, False
        self.connections = 0
        self.writers: set[asyncio.StreamWriter] = set()
        self.muted: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    def cut(self) -> None:
        """Every connection ends now, as when a cable is pulled and both ends notice."""
        for writer in tuple(self.writers):
            writer.transport.abort()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.close()
            return
        self.writers |= {writer, far_writer}
        for source, sink, is_answer in ((reader, far_writer, False), (far_reader, writer, True)):
            queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=100_000)
            for work in (self._read(source, queue), self._write(queue, sink, is_answer)):
                task = asyncio.create_task(work)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _read(self, source: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]]) -> None:
        """Bytes with the time they may arrive at: many may be under way at once, as on a long line."""
        with suppress(OSError):
            while data := await source.read(1 << 16):
                await queue.put((asyncio.get_running_loop().time() + self.round_trip_s / 2, data))
        await queue.put((0.0, b""))

    async def _write(
        self, queue: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter, is_answer: bool
    ) -> None:
        with suppress(OSError):
            while True:
                due_s, data = await queue.get()
                if not data:
                    break
                if (rest_s := due_s - asyncio.get_running_loop().time()) > 0:
                    await asyncio.sleep(rest_s)
                if not (is_answer and (self.mute or sink in self.muted)):
                    sink.write(data)
                    await sink.drain()
        self.writers.discard(sink)
        sink.close()


@asynccontextmanager
async def proxied(host: str, port: int, round_trip_s: float = 0.0) -> AsyncIterator[Proxy]:
    proxy = Proxy(host, port, round_trip_s)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
