"""Structural tests: the house rules that a program can check."""
