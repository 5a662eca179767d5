"""Workers whose calls are operations, in the trace of whoever called: the seam between spans and actor calls.

A caller in a span sends its `traceparent` along as one more keyword, TRACE. Calls that only wait for something to
happen carry the trace on but are no operations: they would all be slow.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mts1b.platform.loaded import keep_loaded
from mts1b.platform.logging import get_logger, logging_from
from mts1b.platform.telemetry import received, recorded, span, traceparent
from mts1b.platform.telemetry.service import NOTHING, Observation, observe, unobserve

if TYPE_CHECKING:
    from mts1b.config_sections import Logging

TRACE = "_trace"

Method = Callable[..., Any]

GATE = "risk_gate_"
"""Steps that the OMS notes and that took place elsewhere: they are operations of the risk actor."""


def step_recorded(step: str, duration_ns: int) -> None:
    """What a worker's recorder tells of: each of its steps is an operation, child of the call it belongs to."""
    if not step.startswith(GATE):
        recorded(step, duration_ns)


def gates_recorded(gate_ns: Sequence[int]) -> None:
    """The gates that ran, gate 1 first, as operations of this process."""
    for gate, duration_ns in enumerate(gate_ns, start=1):
        recorded(f"{GATE}{gate}", duration_ns)


def remotely(method: Any, *given: Any, **named: Any) -> Any:
    """Call an actor's method, with the trace of the current span if there is one."""
    trace = traceparent()
    return method.remote(*given, **named, **{TRACE: trace}) if trace else method.remote(*given, **named)


def observed(
    worker: type,
    service: str,
    waits: Collection[str] = (),
    labels: Mapping[str, str] | None = None,
    logs: Logging | None = None,
) -> type:
    """The worker as an actor's class: it takes an Observation before its own arguments and is observed as `service`.

    Every public method is an operation `<service>.<method>`, but for those in `waits`. Its process's log lines go to
    standard error as `logs` says.
    """
    told = dict(labels or {})

    def begin(self: Any, observation: Observation, *given: Any, **named: Any) -> None:
        if logs is not None:
            logging_from(logs, service)
            get_logger("mts1b.actors").info("actor starts", **told)
        if observation != NOTHING:
            observe(service, observation, told)
        worker.__init__(self, *given, **named)  # type: ignore[misc]
        keep_loaded()

    def flush_telemetry(_self: Any) -> None:
        """Send what was not sent yet, before the process is ended."""
        unobserve()

    def pid(_self: Any) -> int:
        """The process it is in now."""
        return os.getpid()

    own = {"__init__": begin, "flush_telemetry": flush_telemetry, "pid": pid}
    body: dict[str, Any] = {**own, "__doc__": worker.__doc__}
    for name, method in inspect.getmembers(worker, inspect.isfunction):
        if not name.startswith("_"):
            body[name] = traced(method, "" if name in waits else f"{service}.{name}")
    return type(worker.__name__, (worker,), body)


def traced(method: Method, operation: str) -> Method:
    """The method in the trace that TRACE names, as one operation unless that is ""."""
    call = _traced_coroutine(method, operation) if inspect.iscoroutinefunction(method) else _traced(method, operation)
    del call.__wrapped__  # type: ignore[attr-defined]  # Ray would ask it for the signature
    signature = inspect.signature(method)
    trace = inspect.Parameter(TRACE, inspect.Parameter.KEYWORD_ONLY, default="")
    own = [item for item in signature.parameters.values() if item.kind is not inspect.Parameter.VAR_KEYWORD]
    rest = [item for item in signature.parameters.values() if item.kind is inspect.Parameter.VAR_KEYWORD]
    call.__signature__ = signature.replace(parameters=[*own, trace, *rest])  # type: ignore[attr-defined]
    return call


def _traced_coroutine(method: Method, operation: str) -> Method:
    @functools.wraps(method)
    async def call(self: Any, *given: Any, _trace: str = "", **named: Any) -> Any:
        with received(_trace):
            if not operation:
                return await method(self, *given, **named)
            with span(operation):
                return await method(self, *given, **named)

    return call


def _traced(method: Method, operation: str) -> Method:
    @functools.wraps(method)
    def call(self: Any, *given: Any, _trace: str = "", **named: Any) -> Any:
        with received(_trace):
            if not operation:
                return method(self, *given, **named)
            with span(operation):
                return method(self, *given, **named)

    return call
