"""How functions become CUDA kernels: compiled for a device, run by the CUDA simulator, or turned into PTX.

The simulator is numba's own (NUMBA_ENABLE_CUDASIM=1, set before numba is imported): every thread is run by Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from numba import cuda

from mts1b.backtester.gpu_detect import simulated
from mts1b.foundation.errors import InvariantBroken

SIMULATED = simulated()

ARCHITECTURES = ((8, 0), (8, 6), (8, 9), (9, 0))
"""Compute capabilities that every kernel is compiled for in tests: A100, RTX 30, RTX 40 and L4, H100."""


def kernel(function: Callable[..., None]) -> Any:
    """A kernel, compiled when first launched, cached on disk across processes.

    Without link-time optimisation: linking would fuse products and sums again (see `exact`).
    """
    if SIMULATED:
        return cuda.jit(function)
    return cuda.jit(cache=True, lto=False)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """A function of kernels. Inlined as source, since a function of its own could not be compiled without a device."""
    return cuda.jit(device=True, inline="always")(function)


@contextmanager
def exact() -> Iterator[None]:
    """Compile with every product and every sum rounded on its own, as on a CPU, so that decisions are the same.

    NVVM fuses them unless told not to, and numba-cuda has no argument for it: the option goes in where it calls NVVM.
    """
    if SIMULATED:
        yield
        return
    from numba.cuda.cudadrv import nvvm

    usual = nvvm.compile_ir
    nvvm.compile_ir = lambda modules, **options: usual(modules, **options, fma=False)
    try:
        yield
    finally:
        nvvm.compile_ir = usual


def ptx(compiled: Any, signature: Sequence[Any], architectures: Sequence[tuple[int, int]] = ARCHITECTURES) -> list[str]:
    """The kernel's PTX for each architecture. Needs the CUDA compiler's wheels (`numba-cuda[cu12]`), but no device.

    Typed and lowered once, as what follows from the architecture comes after that.
    """
    from numba.cuda.compiler import _compile_pyfunc_with_fixup

    if SIMULATED:
        raise InvariantBroken("ptx", compiled, "the simulator compiles nothing")
    with exact():
        library, _ = _compile_pyfunc_with_fixup(
            compiled.py_func, tuple(signature), device=False, abi="numba", cc=architectures[0]
        )
        return [str(library.get_asm_str(cc=architecture)) for architecture in architectures]


def signature_of(arguments: Sequence[Any]) -> tuple[Any, ...]:
    """Types of arguments given as their dtype's name and number of dimensions, ("float64", 3), all C-contiguous."""
    from numba import types

    return tuple(
        types.Array(getattr(types, name), dimensions, "C") if dimensions else getattr(types, name)
        for name, dimensions in arguments
    )
