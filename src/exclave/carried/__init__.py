"""Carried media: what a bag holds, how it lies on tapes, and what its papers say (spec/bag.md).

Pure: blocks and statements in, items and findings out. Files and tapes are `exclave.bag`'s.
"""
