"""The demonstration: a fictitious sending state, its servers and its registers.

Nothing here is used by the program's real work; it exists so that the main job can be shown and
tested on real PostgreSQL servers with data that looks like a state's.
"""
