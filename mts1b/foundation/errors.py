"""One tree of errors. Each says which field was wrong, what it held and what to do about it.

    MtsError                 catch at the top of a program only
      InputError             the user asked for something that cannot be done: exit code 2
        UnknownNameError     a symbol, strategy, column or setting that does not exist
      StackError             a server is down, a port is taken, a directory cannot be written: exit code 2
      DataError              a file or a table does not hold what it should
      VenueError             the broker or exchange could not be reached or answered nonsense
        VenueTimeout         no answer within the deadline: the order is in doubt, ask by client order id
      LeaseLost              another writer took over: stop at once, touch nothing
      InvariantBroken        a defect of ours: crash, restart, recover from the journal

A risk refusal is not an error: it is a value (`mts1b.riskengine`).
"""

from __future__ import annotations

from mts1b.foundation.redaction import scrub


class MtsError(Exception):
    """Base of all errors of this project. Survives pickling, so it may cross actors. Its text shows no secret."""

    exit_code = 1

    def __init__(self, field: str, value: object, problem: str, remedy: str = "") -> None:
        super().__init__(field, value, problem, remedy)
        self.field, self.value, self.problem, self.remedy = field, value, problem, remedy

    def __str__(self) -> str:
        text = f"{self.field}={self.value!r}: {self.problem}"
        return scrub(f"{text}; {self.remedy}" if self.remedy else text)


class InputError(MtsError):
    """A request that cannot be met as asked. Nothing was done. Show it and exit 2."""

    exit_code = 2


class UnknownNameError(InputError):
    """A name that is not known here. The remedy lists the nearest known names."""


class StackError(MtsError):
    """A part of the stack cannot be started or reached. Fix the environment, then repeat."""

    exit_code = 2


class DataError(MtsError):
    """Stored or delivered data break a rule. The value names the file or the row."""

    exit_code = 2


class VenueError(MtsError):
    """The venue refused the connection or broke its protocol. The order's state is unchanged."""


class VenueTimeout(VenueError):
    """No answer in time. The order may or may not exist at the venue: reconcile before resending."""


class LeaseLost(MtsError):
    """The writer's lease is no longer ours. Stop without writing or sending anything."""


class InvariantBroken(MtsError):
    """Something that cannot be is. Crash; recovery reads the journal again."""


def unknown_name(field: str, value: str, known: object) -> UnknownNameError:
    """Build the error for a name that is not in `known`, suggesting the nearest three."""
    from difflib import get_close_matches  # only on the failing path: keeps the foundation lean

    names = sorted(str(name) for name in known)  # type: ignore[attr-defined]
    near = get_close_matches(str(value), names, n=3, cutoff=0.5)
    listed = ", ".join(near or names[:10]) + ("" if near or len(names) <= 10 else ", ...")
    return UnknownNameError(field, value, "unknown name", f"did you mean: {listed}" if near else f"known: {listed}")
