"""Tests of the standalone reader."""
