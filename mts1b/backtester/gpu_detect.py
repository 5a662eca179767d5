"""Whether this process can use a GPU, found out without importing what is needed to use one."""

from __future__ import annotations

from importlib.util import find_spec

import numba.core.config

from mts1b.backtester.execution import Execution
from mts1b.foundation.errors import InputError, StackError

NEEDED = ("cupy", "numba_cuda")
"""Packages of the extra `gpu`."""


def gpu_available() -> int:
    """Number of CUDA devices that this process can use. 0 without the extra `gpu`, a driver or a device.

    The simulator is no device.
    """
    if any(find_spec(name) is None for name in NEEDED):
        return 0
    import cupy

    try:
        return int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError:  # no driver, or one too old
        return 0


def simulated() -> bool:
    """Whether numba was told to run kernels in its simulator (NUMBA_ENABLE_CUDASIM=1): for tests, thousands of times
    slower than a CPU."""
    return bool(numba.core.config.ENABLE_CUDASIM)


def check_gpu() -> None:
    """StackError, with what is missing named, unless kernels can be run here."""
    if simulated() or gpu_available():
        return
    missing = [name for name in NEEDED if find_spec(name) is None]
    problem = f"{' and '.join(missing)} not installed" if missing else "no CUDA device can be used here"
    remedy = "install the extra `gpu` on a machine with an NVIDIA driver and device, or use --backend cpu"
    raise StackError("backend", "gpu", problem, remedy)


def check_execution(execution: Execution) -> None:
    """InputError for what the kernels do not know: they trade at the next open and pay costs in basis points."""
    if not execution.is_plain:
        asked = ", ".join(execution.beyond_plain)
        raise InputError("execution", asked, "the gpu backend does not know it yet", "use --backend cpu")
