"""What tests of Ray share: this process is left as it was found."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from mts1b.config import Settings
from tests.conftest import RunningStack


@pytest.fixture(scope="module")
def settings(ray_stack: RunningStack) -> Iterator[Settings]:
    """The stack of the tests; this process is left connected or not as it was found."""
    before = dict(os.environ)
    connected = "ray" in sys.modules and sys.modules["ray"].is_initialized()
    yield ray_stack.settings
    if not connected:
        sys.modules["ray"].shutdown()
        os.environ.clear()
        os.environ.update(before)
