"""Sealing: keys, sealed values and packs (spec/sealing.md). Pure: bytes and values in and out.

`recovery` X-Wing keys; `hpke` one-message encryption; `secret` what is ever sealed and to what it
is bound; `pack` the sealed pack.
"""
