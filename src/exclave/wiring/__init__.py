"""Joins adapters, engines and workflows: the only place that knows all of them.

One module for each role: `depositor`, `host`, `reader`; `files` reads what is handed in.
"""
