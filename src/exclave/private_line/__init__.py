"""Private lines as values: who is joined to whom, and how each end is configured. Pure."""
