"""A pack for the tests of sealing."""

from exclave.ids import DepositId, Epoch, MissionId
from exclave.sealing.pack import PackHeader, PackKind

SECRET = b"e" * 32
VEIL = b"v" * 32


def header() -> PackHeader:
    """A header with distinct fields; its sealed secret is not one."""
    return PackHeader(
        kind=PackKind.DATA,
        k=2,
        epoch=Epoch(7),
        mission=MissionId(b"m" * 32),
        deposit=DepositId(b"d" * 16),
        key_hash=b"h" * 32,
        sealed_secret=b"s" * 1168,
        salt=b"t" * 32,
    )
