"""Where a vault keeps its objects: files or memory behind one interface."""
