"""A vault's folder on its machine: set up, enrolled, opened without a server."""
