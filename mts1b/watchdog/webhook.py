"""The webhook's HTTP: through the platform's client, to the address that the settings hold or refer to."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from mts1b.platform.http import checked, http_client
from mts1b.platform.secrets import Secrets
from mts1b.watchdog.sinks import Post

PROVIDER = "webhook"
"""The name of its pool: `providers.webhook` in the settings gives it a key, a limit, other sizes."""


def webhook_post(url: SecretStr, secrets: Secrets) -> Post:
    """Posts to the address, read anew when its lease is over. Each attempt is one call: who delivers tries again."""

    async def post(body: dict[str, Any]) -> None:
        address = await secrets.get(url)
        async with http_client(PROVIDER) as client:
            checked(await client.post(address, json=body))

    return post
