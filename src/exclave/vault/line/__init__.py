"""What goes over the line between a vault and others, and how both ends know each other."""
