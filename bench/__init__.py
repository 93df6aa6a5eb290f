"""Benchmarks of Exclave against other tools on the same data: `make bench`, by hand.

Not part of the tests: figures are published as they come (docs/performance.md).
"""
