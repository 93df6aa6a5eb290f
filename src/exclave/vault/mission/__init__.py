"""One mission at one vault: what it takes, lodges, answers, watches and sweeps."""
