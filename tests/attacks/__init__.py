"""One file per promise or danger; the attacker's powers stand at its top."""
