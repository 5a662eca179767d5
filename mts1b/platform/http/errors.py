"""What can go wrong between here and a provider. httpx's exceptions stop here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mts1b.foundation.errors import InputError, VenueError, VenueTimeout
from mts1b.foundation.redaction import scrub
from mts1b.platform.lean import settle, without

__all__ = ["Crowded", "NotReached", "ProviderError", "ProviderTimeout", "checked", "httpx", "translated"]

with without("click", "rich", "pygments"):
    import httpx
settle("sniffio")


class ProviderError(VenueError):
    """The provider could not be reached, or its answer makes no sense. `sent` False: it has not heard of the call."""

    sent = True


class NotReached(ProviderError):
    """Nothing was sent: no connection, or none free in time."""

    sent = False


class Crowded(NotReached):
    """Too much is asked of one pool at a time; asking again would make it worse."""


class ProviderTimeout(ProviderError, VenueTimeout):
    """Sent, and no whole answer came: it may or may not have been carried out."""


def checked(response: httpx.Response) -> httpx.Response:
    """The response when its status is below 400. ProviderError tells the status and the beginning of the text."""
    if response.status_code >= 400:
        what = f"{response.request.method} {response.request.url.host}{response.request.url.path}"
        problem = f"answered {response.status_code}: {scrub(response.text[:200])}"
        raise ProviderError("provider", what, problem, "see what it says")
    return response


@contextmanager
def translated(provider: str, what: str) -> Iterator[None]:
    """Turn httpx's exceptions into this project's."""
    field = f"provider.{provider}"
    try:
        yield
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError) as error:
        remedy = f"give a whole URL, or set providers.{provider}.base_url"
        raise InputError(field, what, _told(error), remedy) from None
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
        raise NotReached(field, what, _told(error), "see whether it can be reached from here") from None
    except (httpx.TransportError, TimeoutError) as error:
        raise ProviderTimeout(field, what, f"no whole answer: {_told(error)}", "ask whether it was done") from None
    except httpx.HTTPError as error:
        raise ProviderError(field, what, _told(error), "see what it says") from None


def _told(error: Exception) -> str:
    return scrub(f"{type(error).__name__} {error}".strip())
