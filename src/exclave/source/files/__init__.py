"""File trees: captured with all attributes, restored without following links, compared whole.

Nothing is imported here, since `looking.py` is also a program of its own, which starts fast.
"""
