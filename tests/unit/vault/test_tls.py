"""Contexts of connections, also after a token's module was at work in the same process."""

from __future__ import annotations

import _ssl
import ctypes
import ssl

import pytest

from exclave import clock
from exclave.vault.line.identity import new_identity
from exclave.vault.line.tls import add_anchors, client_context


def leave_an_error() -> None:
    """As a PKCS#11 module leaves one that uses the libcrypto of Python's `ssl`."""
    crypto = ctypes.CDLL(_ssl.__file__)
    crypto.ERR_new()
    crypto.ERR_set_error(ctypes.c_int(6), ctypes.c_int(100), None)


def test_errors_that_others_left_do_not_stop_a_connection() -> None:
    anchor = new_identity("vault", clock.now()).certificate
    leave_an_error()
    context = client_context(anchor)
    assert context.get_ca_certs(binary_form=True) == [anchor]


def test_an_anchor_that_is_no_certificate_is_refused() -> None:
    with pytest.raises(ssl.SSLError):
        add_anchors(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), [b"\x30\x03\x02\x01\x00"])
