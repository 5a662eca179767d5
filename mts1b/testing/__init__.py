"""Simulated clock and ports, and the conformance suites that they and the real adapters both pass. Shipped, so that
users test their own adapters with them."""
