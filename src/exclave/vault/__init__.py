"""The vault: its protocol, its server, its clients."""
