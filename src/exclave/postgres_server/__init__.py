"""PostgreSQL servers that are started here: of which programs, as which account, and gone again."""
