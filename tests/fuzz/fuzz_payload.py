"""Fuzz target: the payload of every kind of statement.

Invariant: any bytes are refused with an `ExclaveError`, or encode to the same bytes again.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

from exclave.authority.alarm import alarm_envelope, parse_alarm
from exclave.authority.attestation import attestation_envelope, parse_attestation
from exclave.authority.charter import charter_payload, parse_charter
from exclave.authority.custody import custody_envelope, parse_custody
from exclave.authority.depositor_request import (
    depositor_request_payload,
    parse_depositor_request,
)
from exclave.authority.enrolment import enrolment_envelope, parse_enrolment
from exclave.authority.envelope import Envelope, Kind
from exclave.authority.evidence import evidence_payload, parse_evidence
from exclave.authority.record import parse_record, record_payload
from exclave.authority.seat_request import parse_seat_request, seat_request_payload
from exclave.authority.supplement import parse_supplement, supplement_payload
from exclave.authority.swept import parse_swept, swept_envelope
from exclave.authority.unsealing import (
    answer_envelope,
    parse_unseal_request,
    parse_unsealed,
    request_envelope,
)
from exclave.authority.warrant import parse_warrant, warrant_payload
from exclave.certificate.drill import drill_envelope, parse_drill
from exclave.certificate.proof import parse_proof, proof_envelope
from exclave.certificate.standing import parse_standing, standing_envelope
from exclave.errors import ExclaveError

# For each kind: read a payload and write it again.
AGAIN: dict[Kind, Callable[[Envelope], bytes]] = {
    Kind.CHARTER: lambda e: charter_payload(parse_charter(e)),
    Kind.SEAT_REQUEST: lambda e: seat_request_payload(parse_seat_request(e)),
    Kind.DEPOSITOR_REQUEST: lambda e: depositor_request_payload(parse_depositor_request(e)),
    Kind.ENROLMENT: lambda e: enrolment_envelope(parse_enrolment(e)).payload,
    Kind.WARRANT: lambda e: warrant_payload(parse_warrant(e)),
    Kind.RECORD: lambda e: record_payload(parse_record(e)),
    Kind.SUPPLEMENT: lambda e: supplement_payload(parse_supplement(e)),
    Kind.EVIDENCE: lambda e: evidence_payload(parse_evidence(e)),
    Kind.ALARM: lambda e: alarm_envelope(parse_alarm(e)).payload,
    Kind.SWEPT: lambda e: swept_envelope(parse_swept(e)).payload,
    Kind.CUSTODY: lambda e: custody_envelope(parse_custody(e)).payload,
    Kind.ATTESTATION: lambda e: attestation_envelope(parse_attestation(e)).payload,
    Kind.PROOF: lambda e: proof_envelope(parse_proof(e)).payload,
    Kind.STANDING: lambda e: standing_envelope(parse_standing(e)).payload,
    Kind.DRILL: lambda e: drill_envelope(parse_drill(e)).payload,
    Kind.UNSEAL_REQUEST: lambda e: request_envelope(parse_unseal_request(e)).payload,
    Kind.UNSEALED: lambda e: answer_envelope(parse_unsealed(e)).payload,
}


def check(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    for kind, again in AGAIN.items():
        with contextlib.suppress(ExclaveError):
            assert again(Envelope(payload=data, kind=kind)) == data


def main() -> None:
    """Fuzz, or replay files."""
    files = [Path(name) for name in sys.argv[1:] if Path(name).is_file()]
    for path in files:
        check(path.read_bytes())
    if not files:
        import atheris

        atheris.instrument_all()
        atheris.Setup(sys.argv, check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
