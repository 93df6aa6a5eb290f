"""Tests of the registers' adapters."""
