"""The proxy of the benchmarks, for tests of what a bad line does."""

from mts1b.bench.far_line import Proxy, proxied

__all__ = ["Proxy", "proxied"]
