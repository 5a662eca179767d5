"""A server on this machine that speaks the part of Vault's API that reading secrets needs: KV version 2 and logins.

Answers have the shape that developer.hashicorp.com/vault/api-docs gives them.
"""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class VaultServer:
    """Secrets by path, tokens with how long they live (None: for ever), one AppRole. All may be changed at will."""

    def __init__(self) -> None:
        self.secrets: dict[str, list[dict[str, str]]] = {}
        self.tokens: dict[str, int | None] = {"root-token-of-a-test": None}
        self.role = ("role-of-a-test", "secret-id-of-a-test")
        self.sealed = False
        self.asked: list[str] = []
        self.logins = self.renewals = 0
        vault = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer({})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self._answer(json.loads(body or b"{}"))

            def _answer(self, body: dict[str, Any]) -> None:
                vault.asked.append(self.path)
                status, told = vault.answer(self.path, self.headers.get("X-Vault-Token"), body)
                text = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def put(self, path: str, **fields: str) -> None:
        """A new version of a secret."""
        self.secrets.setdefault(path, []).append(fields)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, token: str | None, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if path == "/v1/auth/approle/login":
            if (body.get("role_id"), body.get("secret_id")) != self.role:
                return 400, {"errors": ["invalid role or secret ID"]}
            self.logins += 1
            fresh = f"approle-token-{self.logins}"
            self.tokens[fresh] = 3_600
            return 200, {"auth": {"client_token": fresh, "lease_duration": 3_600, "renewable": True}}
        if token not in self.tokens:
            return 403, {"errors": ["permission denied"]}
        if path == "/v1/auth/token/lookup-self":
            ttl = self.tokens[token]
            return 200, {"data": {"ttl": ttl or 0, "renewable": ttl is not None}}
        if path == "/v1/auth/token/renew-self":
            self.renewals += 1
            return 200, {"auth": {"client_token": token, "lease_duration": self.tokens[token], "renewable": True}}
        versions = self.secrets.get(path.removeprefix("/v1/secret/data/"))
        if not versions:
            return 404, {"errors": []}
        return 200, {"data": {"data": versions[-1], "metadata": {"version": len(versions), "destroyed": False}}}
