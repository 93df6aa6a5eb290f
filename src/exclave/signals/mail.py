"""Alerts by e-mail, over TLS with a verified certificate unless the settings say otherwise."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Iterator
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import Final

from exclave.signals.cause import Message
from exclave.signals.deadline import SECONDS, STEP_SECONDS, deadline
from exclave.signals.interface import AlertUndelivered
from exclave.signals.private_file import read_private
from exclave.signals.settings import EmailTarget
from exclave.signals.trust import trusted, why_failed

__all__ = ["MailTarget"]

_READY: Final = 220


class MailTarget:
    """Some mailboxes behind one server."""

    def __init__(self, settings: EmailTarget, folder: Path) -> None:
        """Raises `SecretFileUnusable`, or `ConfigurationError` for `ca_file`."""
        self.name = settings.name
        self._settings = settings
        self._folder = folder
        self._credentials()
        self._context()

    def send(self, message: Message) -> None:
        """Hand the message to the server for all recipients; raises `AlertUndelivered`."""
        try:
            with self._session() as session:
                refused = session.send_message(self._written(message))
        except smtplib.SMTPResponseException as error:
            # Only the code: a server may repeat in its words what it was given.
            raise AlertUndelivered(f"mail: the server answered {error.smtp_code}") from error
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise AlertUndelivered(f"mail: {why_failed(error)}") from error
        if refused:
            raise AlertUndelivered(f"mail: {len(refused)} recipients were refused")

    @contextlib.contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        settings, credentials = self._settings, self._credentials()
        session = self._new_session()
        try:
            with deadline(SECONDS, lambda: session.sock):
                code, said = session.connect(settings.server, settings.port)
                if code != _READY:
                    raise smtplib.SMTPConnectError(code, said)
                if settings.tls == "starttls" and not settings.unsafe_without_tls:
                    session.starttls(context=self._context())
                if credentials is not None:
                    session.login(*credentials)
                yield session
                with contextlib.suppress(OSError, smtplib.SMTPException):
                    session.quit()  # a courtesy: the message has been taken
        finally:
            session.close()

    def _new_session(self) -> smtplib.SMTP:
        settings, own = self._settings, socket.gethostname()
        session: smtplib.SMTP
        if settings.tls == "implicit" and not settings.unsafe_without_tls:
            session = smtplib.SMTP_SSL(
                local_hostname=own, timeout=STEP_SECONDS, context=self._context()
            )
        else:
            session = smtplib.SMTP(local_hostname=own, timeout=STEP_SECONDS)
        # The name that the certificate must have. smtplib takes it from its constructor only, which
        # would connect at once, before there is something to shut down at the deadline.
        session._host = settings.server  # type: ignore[attr-defined]
        return session

    def _credentials(self) -> tuple[str, str] | None:
        if self._settings.credentials_file is None:
            return None
        user, password = read_private(self._folder / self._settings.credentials_file, lines=2)
        return user, password

    def _context(self) -> ssl.SSLContext:
        return trusted(self._settings.ca_file, self._folder)

    def _written(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["From"] = self._settings.sender
        mail["To"] = ", ".join(self._settings.recipients)
        mail["Subject"] = message.subject
        mail["Date"] = format_datetime(message.moment)
        mail["Message-ID"] = make_msgid(domain=self._settings.sender.rpartition("@")[2])
        # So that no absence notice answers it (RFC 3834).
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text)
        return mail
