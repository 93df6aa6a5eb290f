"""Quarantines: where proofs and drills restore registers, and how nothing of them stays.

`folder.py` has the rules: a folder of one run, cleared at its end, or by the next run when it was
killed; `own_server.py` and `databases.py` what PostgreSQL registers need; `note.py` what of all
this lies outside of the folder.
"""
