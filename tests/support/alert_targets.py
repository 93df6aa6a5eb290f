"""Mail and web servers of the smallest kind, on loopback, that keep what they are given."""

from __future__ import annotations

import base64
import http.server
import ipaddress
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID


def certificate(folder: Path, *, name: str = "localhost") -> Path:
    """A self-signed certificate for a name and 127.0.0.1 (only the name unless it is localhost)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    if name == "localhost":
        names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    moment = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - timedelta(days=1))
        .not_valid_after(moment + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + made.public_bytes(Encoding.PEM)
    )
    return path


def server_context(pem: Path) -> ssl.SSLContext:
    """For a server that shows this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


@dataclass
class Mailbox:
    """A mail server; `refuses` recipients, asks for `credentials` when it has some."""

    port: int = 0
    mails: list[str] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    in_clear: int = 0  # commands after EHLO that came without TLS, STARTTLS apart
    credentials: tuple[str, str] | None = None
    refuses: tuple[str, ...] = ()
    greeting: str = "220 here"


class _Mail(socketserver.StreamRequestHandler):
    box: Mailbox
    context: ssl.SSLContext | None

    def handle(self) -> None:
        self._encrypted = False
        try:
            self._say(self.box.greeting)
            while line := self.rfile.readline():
                if not self._answer(line.decode().strip()):
                    return
        except (OSError, ssl.SSLError):
            return

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def _answer(self, line: str) -> bool:
        verb = line.split(" ", maxsplit=1)[0].upper()
        if verb not in {"EHLO", "STARTTLS", "QUIT"} and not self._encrypted:
            self.box.in_clear += 1
        if verb == "EHLO":
            self._say("250-here")
            if self.context is not None and not self._encrypted:
                self._say("250-STARTTLS")
            self._say("250 AUTH PLAIN")
        elif verb == "STARTTLS" and self.context is not None:
            self._say("220 go on")
            self._encrypt()
        elif verb == "AUTH":
            self._login(line.split(" ")[2])
        elif verb == "RCPT" and any(name in line for name in self.box.refuses):
            self._say("550 nobody here")
        elif verb == "DATA":
            self._say("354 go on")
            self._data()
        elif verb == "QUIT":
            self._say("221 bye")
            return False
        else:
            self._say("250 good")
        return True

    def _encrypt(self) -> None:
        assert self.context is not None
        self.connection = self.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)  # type: ignore[assignment]
        self._encrypted = True

    def _login(self, plain: str) -> None:
        _, user, password = base64.b64decode(plain).decode().split("\0")
        self.box.logins.append((user, password))
        good = self.box.credentials in (None, (user, password))
        self._say("235 good" if good else f"535 no such password: {password}")

    def _data(self) -> None:
        lines: list[str] = []
        while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
            lines.append(line)
        self.box.mails.append("\n".join(lines))
        self._say("250 taken")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def mail_server(pem: Path | None, box: Mailbox | None = None) -> Iterator[Mailbox]:
    """A mail server that offers STARTTLS when it has a certificate."""
    box = box or Mailbox()
    context = None if pem is None else server_context(pem)
    handler = type("Mail", (_Mail,), {"box": box, "context": context})
    with _Server(("127.0.0.1", 0), handler) as server, _served(server):
        box.port = server.server_address[1]
        yield box


@dataclass
class Hook:
    """A web server that answers all posts with one status."""

    port: int = 0
    status: int = 204
    posts: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def hook_server(pem: Path | None = None, status: int = 204) -> Iterator[Hook]:
    """A web server, over TLS when it has a certificate."""
    hook = Hook(status=status)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.posts.append((self.path, dict(self.headers), body))
            self.send_response(hook.status)
            self.send_header("Location", "https://elsewhere.invalid/")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if pem is not None:
            context = server_context(pem)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        with _served(server):
            hook.port = server.server_address[1]
            yield hook


@contextmanager
def _served(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def trickle_server() -> Iterator[int]:
    """A port at which one byte comes now and then, and no line ever ends."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                while not stopped.wait(0.05):
                    self.request.sendall(b"2")
            except OSError:
                return

    stopped = threading.Event()
    with _Server(("127.0.0.1", 0), Handler) as server, _served(server):
        try:
            yield server.server_address[1]
        finally:
            stopped.set()
