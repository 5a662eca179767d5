"""A provider on this machine that misbehaves as asked, counts what it hears, and a way to it for any host name."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

ANSWER = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n%s\r\n%s"


class ProviderServer:
    """The first part of the path says how it behaves; `heard` counts calls by method and path.

    /ok /500 /429-N (Retry-After: N) /401 answer so; /flaky-N answers 500 N times, then 200; /later-N-M answers 429 with
    Retry-After M, N times; /hang, /drip, /reset, /half never answer whole. `delay_s` comes before every answer.
    """

    def __init__(self, delay_s: float = 0.0) -> None:
        self.heard: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.targets: list[str] = []
        self.connections = self.open = self.most_open = 0
        self.key = ""
        self._delay_s = delay_s
        self._serving: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection, served in a task that ends with the server."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def close(self) -> None:
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        await reader.readexactly(int(headers.get("content-length", 0)))
        path = target.partition("?")[0]
        self.heard[f"{method} {path}"] += 1
        self.headers.append(headers)
        self.targets.append(target)
        behaviour, _, number = path.strip("/").partition("/")[0].partition("-")
        if behaviour in ("hang", "drip", "reset", "half"):
            return await self._misbehave(behaviour, reader, writer)
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        status, extra = self._status(behaviour, number, self.heard[f"{method} {path}"], headers)
        body = b'{"status": "%d"}' % status
        writer.write(ANSWER % (status, len(body), extra, b"" if method == "HEAD" else body))
        await writer.drain()
        return True

    def _status(self, behaviour: str, number: str, count: int, headers: dict[str, str]) -> tuple[int, bytes]:
        if behaviour == "429":
            return 429, b"Retry-After: %s\r\n" % number.encode()
        if behaviour == "flaky":
            return (500 if count <= int(number) else 200), b""
        if behaviour == "later":
            times, _, wait = number.partition("-")
            return (429, b"Retry-After: %s\r\n" % wait.encode()) if count <= int(times) else (200, b"")
        if behaviour == "key":
            return (200 if headers.get("authorization") == f"Bearer {self.key}" else 401), b""
        return (int(behaviour) if behaviour.isdigit() else 200), b""

    async def _misbehave(self, behaviour: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if behaviour == "hang":
            await reader.read(1)  # until the other side gives up
        if behaviour == "half":
            writer.write(ANSWER % (200, 100, b"", b"only a part"))
            await writer.drain()
        if behaviour == "drip":
            writer.write(ANSWER % (200, 100, b"", b""))
            while not reader.at_eof():
                writer.write(b".")
                await writer.drain()
                await asyncio.sleep(0.05)
        if behaviour == "reset":
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False


@asynccontextmanager
async def provider(delay_s: float = 0.0, trusted: ssl.SSLContext | None = None) -> AsyncIterator[ProviderServer]:
    """The server, up; with `trusted` it speaks TLS."""
    server = ProviderServer(delay_s)
    listening = await asyncio.start_server(server.accept, "127.0.0.1", 0, ssl=trusted, backlog=2_000)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await server.close()


@asynccontextmanager
async def proxy(port: int) -> AsyncIterator[str]:
    """An HTTP proxy's URL; whatever host it is asked to connect to, it connects to this machine's `port`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"CONNECT ")
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(pump(reader, outer), pump(inner, writer))

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while some := await source.read(65_536):
                sink.write(some)
                await sink.drain()
        sink.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()


def certificate(home: Path, *hosts: str) -> tuple[ssl.SSLContext, Path]:
    """A TLS server's context for these host names, and the file of the authority that vouches for it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    authority, secret = home / "authority.pem", home / "key.pem"
    authority.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, secret)
    return context, authority
