"""The demo's sending state: the Republic of Vanemar and its ten registers."""

from exclave.demo.estate.build import advance_estate, build_estate
from exclave.demo.estate.model import (
    CAPTURE_ROLE,
    STATE_NAME,
    Estate,
    FilesSource,
    PostgresSource,
    Register,
    Source,
    SqliteSource,
)

__all__ = [
    "CAPTURE_ROLE",
    "STATE_NAME",
    "Estate",
    "FilesSource",
    "PostgresSource",
    "Register",
    "Source",
    "SqliteSource",
    "advance_estate",
    "build_estate",
]
