"""Sealing: keys, sealed values and packs (spec/sealing.md). Pure: bytes and values in and out.

`recovery` X-Wing keys; `hpke` one-message encryption; `secret` what is ever sealed and to what it
is bound; `pack` the sealed pack.
"""

from exclave.sealing.hpke import SealedValueRejected
from exclave.sealing.pack import (
    PackHeader,
    PackKind,
    PackRejected,
    open_pack,
    seal_pack,
    sealed_length,
)
from exclave.sealing.recovery import KeyCheckMismatch, XWingPrivateKey, XWingPublicKey
from exclave.sealing.secret import DepositContext, RecoveryKeyMismatch

__all__ = [
    "DepositContext",
    "KeyCheckMismatch",
    "PackHeader",
    "PackKind",
    "PackRejected",
    "RecoveryKeyMismatch",
    "SealedValueRejected",
    "XWingPrivateKey",
    "XWingPublicKey",
    "open_pack",
    "seal_pack",
    "sealed_length",
]
