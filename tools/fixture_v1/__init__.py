"""What `tools.make_fixture_v1` makes: one of everything that format version 1 keeps readable."""
