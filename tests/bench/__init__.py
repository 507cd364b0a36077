"""Benchmarks, such as `python -m tests.bench.reading`: commands, not tests. A test runs them small."""
