"""Keys that sign statements, behind one interface.

`interface` what a signer is; `bundle` a party's keys in memory; `parties` which keys each party
has; `file` keys on disk; `passphrase` what opens them.
"""
