"""Adapters for registers: PostgreSQL, SQLite, file trees."""
