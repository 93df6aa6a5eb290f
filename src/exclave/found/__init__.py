"""Founding a mission: the ceremony that makes keys, shares and charter 1.

`plan` what the founders decide (founding.toml); `draft` the charter from it; `cards` where cards
go; `output` what is left on disk; `ceremony` the workflow.
"""
