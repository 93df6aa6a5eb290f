"""What Exclave says by itself: causes told to people, once each, and an all-clear when they end."""
