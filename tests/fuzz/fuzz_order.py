"""Fuzz target: the payload of every kind of order.

Invariant: any bytes either decode to a value that encodes to the same bytes, or are refused with
an `ExclaveError`.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import contextlib
import sys
from pathlib import Path

from exclave.authority.envelope import ORDERS, Envelope
from exclave.authority.orders import order_payload, parse_order
from exclave.errors import ExclaveError


def check_order(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    for kind in ORDERS:
        with contextlib.suppress(ExclaveError):
            assert order_payload(parse_order(Envelope(payload=data, kind=kind))) == data


def main() -> None:
    """Fuzz, or replay files."""
    files = [Path(name) for name in sys.argv[1:] if Path(name).is_file()]
    for path in files:
        check_order(path.read_bytes())
    if not files:
        import atheris

        atheris.instrument_all()
        atheris.Setup(sys.argv, check_order)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
