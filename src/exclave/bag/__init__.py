"""The diplomatic bag: packed at home, read on its way, lodged at its seat (spec/bag.md)."""
