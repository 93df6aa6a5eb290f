"""Authority: statements, the charter, warrants, records and cards. Pure: bytes and values.

`keys`, `envelope`, `persons` say what was signed and by whom; `charter` and its parts hold the
constitution; one module each for the other statements.
"""
