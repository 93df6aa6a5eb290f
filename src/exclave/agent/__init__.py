"""Exclave at home without anybody: what runs when, what came of it, and who is told (spec/agent.md).

`calendar`, `agenda`, `causes` and `memory` are pure; `running`, `notify` and `service` are not.
"""
