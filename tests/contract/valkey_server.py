"""A Valkey of a test's own, which may be killed and started again on its data."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from mts1b.config import Settings, load_settings
from mts1b.deploy.servers import valkey_program


class ValkeyServer:
    """One server on a free port, its data in `home`. `keeps` False: nothing is written to disk."""

    def __init__(self, home: Path, keeps: bool = True, policy: str = "noeviction") -> None:
        self._home, self._keeps, self._policy = home, keeps, policy
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:rate-secret@127.0.0.1:{self.port}/0"

    def settings(self, **rules: object) -> Settings:
        return load_settings(cache={"url": self.url}, ratelimits=rules)

    def start(self) -> ValkeyServer:
        text = (
            f'bind 127.0.0.1\nport {self.port}\ndir {self._home}\nsave ""\nappendfsync everysec\n'
            f"appendonly {'yes' if self._keeps else 'no'}\nrequirepass rate-secret\n"
            f"maxmemory 64mb\nmaxmemory-policy {self._policy}\n"
        )
        self._process = subprocess.Popen(
            [valkey_program(), "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=self._home
        )
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.close()
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.01)
        raise AssertionError("valkey did not start")

    def kill(self) -> None:
        """As a power cut would: without a chance to write anything."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
