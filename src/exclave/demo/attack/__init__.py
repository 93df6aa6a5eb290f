"""Attacks: what a mission withstands, played on a mission made for the purpose.

`exclave drill --coerced` lets an occupier act who has everything at home, `--saboteur` a single
official who says no to everything. Vaults are real processes on loopback, officials use the real
commands, and the attacker whatever the library and the wire allow. Nothing of a real mission is
touched, and nothing here is used by the program's real work.
"""
