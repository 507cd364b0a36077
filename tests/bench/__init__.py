"""Benchmarks, run by hand. Each has a small form among the tests so that it cannot rot; nothing is timed in CI."""
