"""A vault as those see it who ask it: over the line, or through its local door."""
