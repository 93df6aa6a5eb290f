"""Deposit: registers at home become packs, shards in vaults, a record in their logs.

`run` joins the stages: `capture` -> `streams` -> `packing` -> `sealing` -> `dispatch` (with
`spool`) -> `lodging`; `catalogue` remembers, `rebuild` makes a lost journal again.
"""
