"""Development commands of this repository: run as `python -m tools.NAME` from its top folder."""
