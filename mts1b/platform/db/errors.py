"""What asyncpg's exceptions become, and what of an address may be shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import asyncpg

from mts1b.foundation.errors import DataError, LeaseLost, MtsError, StackError

UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a connection lost in the middle of a statement may leave behind
)
REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)
CLIENT_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


LEASE_LOST = "MTS01"
"""What our own functions in the database raise when a writer's epoch is over."""


class Conflict(DataError):
    """A row that may exist once exists already (unique or exclusion constraint, named by `value`)."""


class Contention(StackError):
    """Another transaction was in the way (serialisation failure, deadlock, lock timeout): repeat the transaction."""


class StatementTimeout(StackError):
    """The server stopped a statement, or a transaction that stood still, because it took too long."""


class DiskFull(StackError):
    """The server cannot write: its disk is full, or fails. Nothing of the transaction was kept."""


class PoolTimeout(StackError):
    """No connection of the pool came free in time: all of them are in use."""


def translation_of(what: str, error: BaseException) -> MtsError | None:
    """This project's error in place of one of asyncpg's, None for any other."""
    match error:
        case asyncpg.UniqueViolationError() | asyncpg.ExclusionViolationError():
            return Conflict(what, error.constraint_name, "exists already")
        case asyncpg.SerializationError() | asyncpg.DeadlockDetectedError() | asyncpg.LockNotAvailableError():
            return Contention(what, error.sqlstate, str(error), "repeat the transaction")
        case asyncpg.QueryCanceledError() | asyncpg.IdleInTransactionSessionTimeoutError():
            return StatementTimeout(what, error.sqlstate, str(error), "ask for less, or raise statement_timeout_s")
        case asyncpg.DiskFullError() | asyncpg.PostgresIOError():
            remedy = "nothing of this was kept; make room on the server's disk, and what waits goes on by itself"
            return DiskFull(what, error.sqlstate, str(error), remedy)
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate == LEASE_LOST:
        return LeaseLost(what, error.sqlstate, str(error), "stop: write and send nothing more")
    if isinstance(error, CLIENT_ERRORS) and isinstance(error, (*UNREACHABLE, *REFUSED)):
        return unreachable(what, error)
    return None


def unreachable(what: str, error: BaseException) -> StackError:
    return StackError(what, type(error).__name__, str(error) or "no answer", "see `mts status`")


@contextmanager
def translated(what: str = "db") -> Iterator[None]:
    """Turn asyncpg's exceptions into this project's: Conflict, LeaseLost, or a StackError, as those named above."""
    try:
        yield
    except CLIENT_ERRORS as error:
        better = translation_of(what, error)
        if better is None:
            raise
        raise better from error
    except (OSError, TimeoutError) as error:
        raise unreachable(what, error) from error


def server_of(dsn: str) -> str:
    """`host:port/database` of a DSN: what may be shown, without the credentials."""
    parts = urlsplit(dsn)
    return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"
