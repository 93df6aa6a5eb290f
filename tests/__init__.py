"""Tests of Exclave."""
