"""Exclave at home by itself: what runs when, what came of it, and who is told (spec/agent.md).

`jobs`, `state`, `agenda`, `causes`, `memory` and `reading` are pure; `running`,
`machine` and `service` are not.
"""
