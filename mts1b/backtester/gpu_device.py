"""The machine that kernels run on: a CUDA device with arrays of CuPy, or numba's simulator with arrays of numpy.

The backend asks it for memory, for copies and for launches, and is the same on both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.gpu_detect import check_gpu, simulated
from mts1b.backtester.gpu_kernels import Launchable
from mts1b.foundation.errors import InvariantBroken

Host = NDArray[Any]


class Copies(Protocol):
    """Arrays on their way to the host."""

    def wait(self) -> list[Host]:
        """The arrays, once they have arrived."""


class Device(Protocol):
    """What the backend needs of a machine. Launches and copies take effect in the order they are asked for."""

    block_threads: int

    def free_bytes(self) -> int:
        """Memory that arrays can be given now."""

    def empty(self, shape: tuple[int, ...]) -> Any:
        """A new float64 array, whatever it holds."""

    def put(self, values: Host) -> Any:
        """A copy on the device. The caller keeps it until the kernels that read it are known to have ended."""

    def launch(self, launched: Launchable, threads: int, *arguments: Any) -> None:
        """Run a kernel with at least so many threads."""

    def fetch(self, arrays: Sequence[Any]) -> Copies:
        """Begin to copy to the host what the kernels launched so far write, while later ones go on."""


class SimulatedDevice:
    """numba's CUDA simulator: slow, exact, for tests. Checks that arguments have the types that PTX is made for."""

    block_threads = 4

    def __init__(self, free_bytes: int = 1 << 30) -> None:
        self._free_bytes = free_bytes

    def free_bytes(self) -> int:
        return self._free_bytes

    def empty(self, shape: tuple[int, ...]) -> Host:
        return np.full(shape, np.nan)  # nothing may depend on what new memory holds

    def put(self, values: Host) -> Host:
        return np.array(values, order="C")

    def launch(self, launched: Launchable, threads: int, *arguments: Any) -> None:
        for argument, (dtype, dimensions) in zip(arguments, launched.types, strict=True):
            _check_type(argument, dtype, dimensions)
        blocks = -(-threads // self.block_threads)
        launched.kernel[blocks, self.block_threads](*arguments)

    def fetch(self, arrays: Sequence[Host]) -> Arrived:
        return Arrived([array.copy() for array in arrays])


@dataclass(frozen=True)
class Arrived:
    """Copies that are there already."""

    arrays: list[Host]

    def wait(self) -> list[Host]:
        return self.arrays


def _check_type(argument: Any, dtype: str, dimensions: int) -> None:
    found: tuple[Any, ...] = (type(argument).__name__,)
    wanted: tuple[Any, ...] = ({"float64": "float", "int64": "int", "boolean": "bool"}.get(dtype),)
    if dimensions:
        wanted = (dtype.rstrip("_"), dimensions, True)
    if isinstance(argument, np.ndarray):
        found = (argument.dtype.name, argument.ndim, argument.flags.c_contiguous)
    if found != wanted:
        raise InvariantBroken("argument", found, f"the kernel is made for {wanted}")


class CudaDevice:
    """The current CUDA device. Kernels go to one stream, copies to another, so that both go on at once.

    Every array written by copies to the device comes from the copying stream's part of CuPy's memory pool, every other
    from the computing stream's: memory that is given out again is never still in use by the other stream, as long as
    callers keep what they `put` until its readers have ended. Host memory on both ends is pinned.
    """

    block_threads = 128

    def __init__(self, xp: Any, numba_cuda: Any) -> None:
        self._xp = xp
        self._numba = numba_cuda
        self._computing = xp.cuda.Stream(non_blocking=True)
        self._copying = xp.cuda.Stream(non_blocking=True)
        self._numba_stream = numba_cuda.external_stream(self._computing.ptr)
        self._on_the_way: list[tuple[Any, Host]] = []

    def free_bytes(self) -> int:
        pooled = self._xp.get_default_memory_pool().free_bytes()
        return int(self._xp.cuda.Device().mem_info[0]) + int(pooled)

    def empty(self, shape: tuple[int, ...]) -> Any:
        with self._computing:
            return self._xp.empty(shape, dtype=np.float64)

    def put(self, values: Host) -> Any:
        self._on_the_way = [(event, pinned) for event, pinned in self._on_the_way if not event.done]
        pinned = self._pinned(values.shape, values.dtype)
        pinned[...] = values
        with self._copying:
            array = self._xp.empty(values.shape, dtype=values.dtype)
            array.set(pinned, stream=self._copying)
            event = self._copying.record()
        self._on_the_way.append((event, pinned))
        self._computing.wait_event(event)
        return array

    def launch(self, launched: Launchable, threads: int, *arguments: Any) -> None:
        from mts1b.backtester.gpu_jit import exact

        blocks = -(-threads // self.block_threads)
        given = [self._numba.as_cuda_array(a, sync=False) if hasattr(a, "shape") else a for a in arguments]
        with exact():  # the first launch compiles
            launched.kernel[blocks, self.block_threads, self._numba_stream](*given)

    def fetch(self, arrays: Sequence[Any]) -> _Fetched:
        self._copying.wait_event(self._computing.record())
        arrived = []
        for array in arrays:
            pinned = self._pinned(array.shape, array.dtype)
            array.get(stream=self._copying, out=pinned, blocking=False)
            arrived.append(pinned)
        return _Fetched(self._copying.record(), arrived, list(arrays))

    def _pinned(self, shape: tuple[int, ...], dtype: Any) -> Host:
        """Page-locked host memory, which the device reads and writes by itself."""
        count = int(np.prod(shape, dtype=np.int64))
        memory = self._xp.cuda.alloc_pinned_memory(max(1, count * np.dtype(dtype).itemsize))
        found: Host = np.frombuffer(memory, dtype, count).reshape(shape)
        return found


@dataclass
class _Fetched:
    """Copies under way from a device; the arrays they come from are kept until then."""

    event: Any
    arrived: list[Host]
    sources: list[Any]

    def wait(self) -> list[Host]:
        self.event.synchronize()
        self.sources.clear()
        return self.arrived


@lru_cache(maxsize=1)
def current_device() -> Device:
    """The device that this process computes on; the simulator where numba was told so. StackError without either."""
    if simulated():
        return SimulatedDevice()
    check_gpu()
    import cupy
    from numba import cuda

    return CudaDevice(cupy, cuda)
