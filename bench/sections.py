"""Pages that several measurements write to: each replaces its own section and keeps the others'."""

from __future__ import annotations

from pathlib import Path

__all__ = ["FORECASTS", "kept_section", "put_section"]

FORECASTS = "## Forecast against measurement"
"""The section that `bench forecast` writes."""


def kept_section(page: Path, heading: str) -> str:
    """A section of the page as it stands, with its heading, up to the next of its level."""
    if not page.is_file():
        return ""
    before, found, rest = page.read_text().partition(f"{heading}\n")
    if not found:
        return ""
    del before
    return found + rest.partition("\n## ")[0].rstrip("\n") + "\n"


def put_section(page: Path, heading: str, text: str) -> None:
    """Replace the section, or put it at the end."""
    old = kept_section(page, heading)
    now = page.read_text() if page.is_file() else ""
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(now.replace(old, text) if old else f"{now.rstrip()}\n\n{text}".lstrip("\n"))
