"""Keys that sign statements, behind one interface."""
