"""What seats say about a mission, walked and checked from outside."""
