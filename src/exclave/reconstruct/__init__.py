"""Reconstruct: from vaults or their folders back to running registers, proven."""
