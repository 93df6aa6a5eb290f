"""What `[alerts]` of a configuration file may say, and where the targets come from it.

Shapes for whoever embeds them (`alerts: AlertsTable | None = None`), and `open_targets`. Secrets
are named by file. What weakens a target is named `unsafe_...`; it never lets credentials out in
clear.
"""

from __future__ import annotations

import ipaddress
import urllib.parse
from pathlib import Path
from typing import Annotated, Literal

from exclave.plan.durations import Duration
from exclave.plan.sources import Slug
from exclave.shapes import Between, Checked, Length, Unfit
from exclave.signals.interface import Target
from exclave.values import dataclass

__all__ = [
    "AlertsTable",
    "CommandTarget",
    "EmailTarget",
    "WebhookTarget",
    "check_url",
    "is_loopback",
    "open_targets",
]

_DAY = 86_400


def is_loopback(host: str) -> bool:
    """Whether a name or number stays on this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _mailbox(value: str) -> None:
    name, at, domain = value.rpartition("@")
    if not (name and at and domain) or not value.isprintable() or " " in value:
        raise ValueError("expected an e-mail address")


def check_url(value: str, *, unsafe_without_tls: bool) -> None:
    """Refuse what is no web address, or one to another machine in clear; raises `ValueError`."""
    try:
        parts = urllib.parse.urlsplit(value)
        good = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, good = None, False
    if parts is None or not (good and value.isascii() and value.isprintable()) or " " in value:
        raise ValueError("expected a web address that begins with https://")
    if parts.scheme == "http" and not (unsafe_without_tls or is_loopback(parts.hostname or "")):
        raise ValueError("expected https://, got http:// to another machine")


Mailbox = Annotated[str, Checked(_mailbox)]
Text = Annotated[str, Length(least=1, most=200)]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailTarget:
    """Mail to some people, over TLS."""

    kind: Literal["email"]
    name: Slug
    server: Text
    port: Annotated[int, Between(1, 65535)] = 587
    tls: Literal["starttls", "implicit"] = "starttls"
    sender: Mailbox
    recipients: Annotated[tuple[Mailbox, ...], Length(least=1, most=50)]
    credentials_file: str | None = None  # mode 0600, two lines: user and password
    ca_file: str | None = None  # who vouches for the server, in place of the system's
    unsafe_without_tls: bool = False

    def __post_init__(self) -> None:
        if self.unsafe_without_tls and self.credentials_file is not None:
            raise Unfit({"unsafe_without_tls": "expected no credentials without TLS, got some"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTarget:
    """A JSON document posted to a web address."""

    kind: Literal["webhook"]
    name: Slug
    url: str | None = None
    url_file: str | None = None  # mode 0600, where the address itself is a secret
    key_file: str | None = None  # mode 0600: signs what is sent
    ca_file: str | None = None
    unsafe_without_tls: bool = False

    def __post_init__(self) -> None:
        if (self.url is None) is (self.url_file is None):
            raise Unfit({"url": "expected either url or url_file"})
        if self.url is not None:
            try:
                check_url(self.url, unsafe_without_tls=self.unsafe_without_tls)
            except ValueError as error:
                raise Unfit({"url": str(error)}) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandTarget:
    """A program that gets the JSON document on its standard input; no shell takes part."""

    kind: Literal["command"]
    name: Slug
    command: Annotated[tuple[Text, ...], Length(least=1, most=64)]
    timeout: Annotated[Duration, Between(1, 600)] = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsTable:
    """`[alerts]`."""

    source: Text = "exclave"
    """Who speaks, in the subject of a message."""
    remind_after: Annotated[Duration, Between(60)] = _DAY
    """What goes on is told again after so many seconds."""
    target: tuple[EmailTarget | WebhookTarget | CommandTarget, ...] = ()

    def __post_init__(self) -> None:
        names = [item.name for item in self.target]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise Unfit({"target": f"expected names once each, got {twice[0]} again"})


def open_targets(table: AlertsTable, folder: Path) -> tuple[Target, ...]:
    """The targets; relative paths start at `folder`. Raises `SecretFileUnusable`.

    Secrets are read once to see that they can be, and again for each message: they may be renewed.
    """
    return tuple(_open(item, folder) for item in table.target)


def _open(item: EmailTarget | WebhookTarget | CommandTarget, folder: Path) -> Target:
    match item:
        case EmailTarget():
            from exclave.signals.mail import MailTarget

            return MailTarget(item, folder)
        case WebhookTarget():
            from exclave.signals.webhook import HookTarget

            return HookTarget(item, folder)
        case CommandTarget():
            from exclave.signals.command import ProgramTarget

            return ProgramTarget(item, folder)
