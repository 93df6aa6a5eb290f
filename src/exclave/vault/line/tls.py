"""TLS contexts: 1.3 only, trusting exactly the identities that are pinned.

Rules: a listener's anchors are pinned identities, nothing of the system's; anchors may be added to
a live context, never taken away (each request is authorised again, so an anchor opens nothing by
itself); host names are not compared, since the only anchor already names the party
(spec/vault-http.md 1).
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from exclave.errors import VaultUnreachable
from exclave.vault.line.negotiated import NotingContext

if TYPE_CHECKING:
    from exclave.ids import Seat
    from exclave.vault.line.identity import Leaf

__all__ = ["add_anchors", "client_context", "not_trusted", "server_context", "use_leaf"]

_TIMES: Final = {9: "one that is not good yet", 10: "one that is good no more"}
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED: looked at after the signature."""


def server_context(leaf: Leaf | None, anchors: Iterable[bytes] | None) -> NotingContext:
    """For a listener: `anchors` are the clients' identities, None asks for no certificate.

    Without a leaf it must be given one by `use_leaf` before it serves.
    """
    context = NotingContext(ssl.PROTOCOL_TLS_SERVER)
    _narrow(context)
    # A resumed session would skip the client's certificate, whose life is short on purpose.
    context.num_tickets = 0
    if leaf is not None:
        use_leaf(context, leaf)
    if anchors is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        add_anchors(context, anchors)
    return context


def client_context(anchor: bytes, leaf: Leaf | None = None) -> NotingContext:
    """For a connection to the one party whose identity is `anchor`."""
    context = NotingContext(ssl.PROTOCOL_TLS_CLIENT)
    _narrow(context)
    # Addresses change and name nothing: the single anchor is the name.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    add_anchors(context, [anchor])
    if leaf is not None:
        use_leaf(context, leaf)
    return context


def add_anchors(context: ssl.SSLContext, anchors: Iterable[bytes]) -> None:
    """Trust these identities (DER) from the next connection on."""
    joined = b"".join(dict.fromkeys(anchors))
    if not joined:
        return
    try:
        context.load_verify_locations(cadata=joined)
    except ssl.SSLError:
        # A token's module may share libcrypto with Python and leave its errors in the queue, which
        # this call takes for its own; raising has emptied it. What is really wrong fails again.
        context.load_verify_locations(cadata=joined)


def use_leaf(context: ssl.SSLContext, leaf: Leaf) -> None:
    """Show this leaf from the next connection on."""
    with _as_file(leaf.chain + leaf.key) as path:
        context.load_cert_chain(path)


def not_trusted(seat: Seat, error: Exception) -> VaultUnreachable:
    """What to say of a vault's certificate that was refused."""
    code = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else None
    if code in _TIMES:
        return VaultUnreachable(
            f"seat {seat}: expected a certificate that is good now, got {_TIMES[code]}",
            hint="compare this machine's clock; if it is right, the vault's",
        )
    return VaultUnreachable(
        f"seat {seat}: expected the pinned identity, got another certificate",
        hint="compare the address with the charter; somebody else may answer there",
    )


def _narrow(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


@contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    # `load_cert_chain` reads files only: one that lives in memory keeps the key off disks.
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):  # noqa: PTH112
        file = os.memfd_create("exclave-leaf", os.MFD_CLOEXEC)
        try:
            os.write(file, data)
            yield f"/proc/self/fd/{file}"
        finally:
            os.close(file)
        return
    import tempfile

    with tempfile.NamedTemporaryFile(prefix="exclave-leaf-") as stream:  # mode 0600
        stream.write(data)
        stream.flush()
        yield stream.name
