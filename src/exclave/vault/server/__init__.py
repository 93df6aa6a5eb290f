"""A running vault: its listeners, handlers and background tasks."""
