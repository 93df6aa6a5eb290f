"""Identities, leaves and who issued what; handshakes run over memory, not sockets."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from exclave import clock
from exclave.errors import ConfigurationError, MalformedData
from exclave.ids import Seat
from exclave.vault.line.identity import (
    IdentityUnknown,
    check_identity,
    identity_hash,
    issue_leaf,
    issuing_anchor,
    load_identity,
    new_identity,
    save_identity,
)
from exclave.vault.line.identity_file import read_certificate
from exclave.vault.line.tls import add_anchors, client_context, not_trusted, server_context

NOW = clock.now()


def handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> ssl.SSLObject:
    """Both sides to the end, one request included; gives the server's side."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="x")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    while len(done) < 2:
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            done.add(side)
    return theirs


def leaf_of(chain: bytes) -> bytes:
    return ssl.PEM_cert_to_DER_cert(
        chain.decode().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----"
    )


def test_a_pinned_client_is_recognised_by_its_anchor() -> None:
    vault, depositor, other = (new_identity(name, NOW) for name in ("vault-1", "home", "home"))
    server = server_context(
        issue_leaf(vault, server=True, now=NOW), [depositor.certificate, other.certificate]
    )
    client = client_context(vault.certificate, issue_leaf(other, server=False, now=NOW))
    seen = handshake(client, server).getpeercert(binary_form=True)
    assert seen is not None
    assert issuing_anchor(seen, [depositor.certificate, other.certificate]) == other.certificate
    with pytest.raises(IdentityUnknown):
        issuing_anchor(seen, [depositor.certificate])


def test_an_unpinned_client_is_refused_until_its_anchor_is_added() -> None:
    vault, known, stranger = (new_identity(name, NOW) for name in ("vault-1", "home", "reader"))
    server = server_context(issue_leaf(vault, server=True, now=NOW), [known.certificate])
    client = client_context(vault.certificate, issue_leaf(stranger, server=False, now=NOW))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client, server)
    add_anchors(server, [stranger.certificate])
    assert handshake(client, server).version() == "TLSv1.3"


def test_no_certificate_no_data_listener() -> None:
    vault, known = new_identity("vault-1", NOW), new_identity("home", NOW)
    server = server_context(issue_leaf(vault, server=True, now=NOW), [known.certificate])
    with pytest.raises(ssl.SSLError):
        handshake(client_context(vault.certificate), server)


def test_a_server_of_another_identity_is_refused() -> None:
    vault, false = new_identity("vault-1", NOW), new_identity("vault-1", NOW)
    server = server_context(issue_leaf(false, server=True, now=NOW), None)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client_context(vault.certificate), server)


def test_a_client_leaf_does_not_serve() -> None:
    vault = new_identity("vault-1", NOW)
    server = server_context(issue_leaf(vault, server=False, now=NOW), None)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client_context(vault.certificate), server)


def test_an_old_leaf_is_refused() -> None:
    vault = new_identity("vault-1", NOW - timedelta(days=100))
    old = issue_leaf(vault, server=True, now=NOW - timedelta(days=8))
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        handshake(client_context(vault.certificate), server_context(old, None))
    said = not_trusted(Seat(2), caught.value)
    assert "seat 2: expected a certificate that is good now, got one that is good no more" in str(
        said
    )
    assert said.hint is not None
    assert "clock" in said.hint


def test_a_leaf_of_the_time_to_come_is_a_matter_of_clocks_and_a_strangers_is_not() -> None:
    vault, other = new_identity("vault-1", NOW), new_identity("vault-1", NOW)
    later = issue_leaf(vault, server=True, now=NOW + timedelta(days=3))
    said = []
    for anchor in (vault, other):
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            handshake(client_context(anchor.certificate), server_context(later, None))
        said.append(not_trusted(Seat(2), caught.value).message)
    assert said == [
        "seat 2: expected a certificate that is good now, got one that is not good yet",
        "seat 2: expected the pinned identity, got another certificate",
    ]


def test_leaves_live_seven_days_or_less() -> None:
    vault = new_identity("vault-1", NOW)
    leaf = x509.load_der_x509_certificate(leaf_of(issue_leaf(vault, server=True, now=NOW).chain))
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= timedelta(days=7)
    with pytest.raises(ConfigurationError):
        issue_leaf(vault, server=True, now=NOW, lifetime=timedelta(days=8))


def test_identities_are_self_signed_authorities_that_live_for_decades() -> None:
    made = new_identity("vault-1", datetime(2026, 1, 1, tzinfo=UTC))
    check_identity(made.certificate)
    assert x509.load_der_x509_certificate(made.certificate).not_valid_after_utc.year >= 2056
    assert len(identity_hash(made.certificate)) == 32


@pytest.mark.parametrize("bad", [b"", b"\x30\x00", b"leaf"])
def test_what_is_no_identity_is_named(bad: bytes) -> None:
    if bad == b"leaf":
        bad = leaf_of(issue_leaf(new_identity("v", NOW), server=True, now=NOW).chain)
    with pytest.raises(MalformedData):
        check_identity(bad)


def test_the_file_is_for_its_owner_and_written_once(tmp_path: Path) -> None:
    made, path = new_identity("vault-1", NOW), tmp_path / "identity.pem"
    save_identity(made, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_identity(path).certificate == read_certificate(path) == made.certificate
    with pytest.raises(ConfigurationError):
        save_identity(made, path)


@pytest.mark.parametrize(
    "text", ["", "-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----"]
)
def test_a_file_without_certificate_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "identity.pem"
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_certificate(path)
    path.write_text(text)
    for read in (read_certificate, load_identity):
        with pytest.raises(ConfigurationError, match="not an identity file"):
            read(path)


def test_a_mixed_up_file_is_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    save_identity(new_identity("a", NOW), one)
    save_identity(new_identity("b", NOW), two)
    mixed = tmp_path / "mixed"
    mixed.write_bytes(
        one.read_bytes().split(b"-----BEGIN PRIV")[0]
        + b"-----BEGIN PRIV"
        + two.read_bytes().split(b"-----BEGIN PRIV")[1]
    )
    with pytest.raises(ConfigurationError):
        load_identity(mixed)
