"""The order in which a CUDA device is told to compute and to copy, on a stand-in that writes down what it is told.

What CuPy and a device make of it has not been run here.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mts1b.backtester.gpu_device import CudaDevice, SimulatedDevice
from mts1b.backtester.gpu_kernels import Launchable
from mts1b.foundation.errors import InvariantBroken


class Array(np.ndarray):
    """An array "on the device"."""

    def set(self, values: np.ndarray, stream: Stream) -> None:
        stream.log.append((stream.name, "to device"))
        self[...] = values

    def get(self, stream: Stream, out: np.ndarray, blocking: bool) -> None:
        assert not blocking
        stream.log.append((stream.name, "to host"))
        out[...] = self


class Stream:
    def __init__(self, name: str, log: list[Any], current: list[Any]) -> None:
        self.name, self.log, self.current, self.ptr = name, log, current, name

    def __enter__(self) -> None:
        self.current.append(self.name)

    def __exit__(self, *_: object) -> None:
        self.current.pop()

    def record(self) -> Any:
        self.log.append((self.name, "event"))
        return SimpleNamespace(
            done=False, of=self.name, synchronize=lambda: self.log.append(("host", "waits for", self.name))
        )

    def wait_event(self, event: Any) -> None:
        self.log.append((self.name, "waits for", event.of))


@pytest.fixture
def machine() -> Any:
    log: list[Any] = []
    current: list[Any] = []
    streams = iter(("computing", "copying"))
    made: dict[int, str] = {}

    def empty(shape: tuple[int, ...], dtype: Any) -> Array:
        found = np.empty(shape, dtype).view(Array)
        made[id(found)] = current[-1]
        return found

    cuda = SimpleNamespace(
        Stream=lambda non_blocking: Stream(next(streams), log, current),
        Device=lambda: SimpleNamespace(mem_info=(1000, 5000)),
        alloc_pinned_memory=bytearray,
    )
    pool = SimpleNamespace(free_bytes=lambda: 24)
    xp = SimpleNamespace(cuda=cuda, empty=empty, get_default_memory_pool=lambda: pool)
    numba = SimpleNamespace(external_stream=lambda ptr: f"numba {ptr}", as_cuda_array=lambda a, sync: a)
    return SimpleNamespace(device=CudaDevice(xp, numba), log=log, made=made)


def kernel_that_adds_one(log: list[Any]) -> Any:
    def run(values: Any, out: Any) -> None:
        out[...] = values + 1.0

    class Kernel:
        def __getitem__(self, shape: tuple[int, int, str]) -> Any:
            log.append((shape[2], "kernel", shape[:2]))
            return run

    return Launchable(Kernel(), [("float64", 1), ("float64", 1)])


def test_kernels_wait_for_their_inputs_and_copies_for_their_kernels(machine: Any) -> None:
    device, log = machine.device, machine.log
    given = device.put(np.arange(300.0))
    out = device.empty((300,))
    device.launch(kernel_that_adds_one(log), 300, given, out)
    (found,) = device.fetch([out]).wait()
    np.testing.assert_array_equal(found, np.arange(300.0) + 1.0)
    assert log == [
        ("copying", "to device"),
        ("copying", "event"),
        ("computing", "waits for", "copying"),
        ("numba computing", "kernel", (3, 128)),
        ("computing", "event"),
        ("copying", "waits for", "computing"),
        ("copying", "to host"),
        ("copying", "event"),
        ("host", "waits for", "copying"),
    ]


def test_each_stream_has_memory_of_its_own(machine: Any) -> None:
    given, out = machine.device.put(np.arange(3)), machine.device.empty((2, 3))
    assert (machine.made[id(given)], machine.made[id(out)]) == ("copying", "computing")
    assert given.dtype == np.int64 and out.dtype == np.float64


def test_pooled_memory_counts_as_free(machine: Any) -> None:
    assert machine.device.free_bytes() == 1024


@pytest.mark.parametrize("wrong", [np.zeros(3, dtype=np.float32), np.zeros((3, 1)), np.zeros(6)[::2], 1.0])
def test_the_simulator_holds_arguments_to_the_types_that_ptx_is_made_for(wrong: Any) -> None:
    with pytest.raises(InvariantBroken, match="argument"):
        SimulatedDevice().launch(kernel_that_adds_one([]), 3, wrong, np.zeros(3))
