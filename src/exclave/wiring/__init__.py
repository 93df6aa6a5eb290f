"""Joins adapters, engines and workflows: the only place that knows all of them.

One module for each role: `depositor`, `host`, `reader`; `files` reads what is handed in.

What not every command of a role needs is imported inside the function that needs it: clients and
servers, adapters of registers, the journal's index, the survey of logs.
"""
