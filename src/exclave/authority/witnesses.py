"""Who witnesses a mission's logs under a charter (spec/ledger.md 7)."""

from __future__ import annotations

from exclave.authority.charter import Charter
from exclave.authority.charter_settings import ExternalWitness
from exclave.authority.keys import ED25519
from exclave.errors import MalformedData
from exclave.ledger.checkpoint import log_verifier
from exclave.ledger.cosignature import Witnesses, WitnessParty, seat_verifiers, witness_name
from exclave.ledger.note import COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44, NoteVerifier

__all__ = ["log_verifiers", "witnesses_of"]


def witnesses_of(charter: Charter) -> Witnesses:
    """The active seats and the external witnesses, with the charter's quorum and freshness."""
    mission = charter.mission_id
    parties: list[WitnessParty] = []
    for seat in charter.active_seats:
        first, second = seat.witness_keys
        parties.append(
            WitnessParty(
                name=witness_name(mission, seat.seat),
                seat=seat.seat,
                verifiers=seat_verifiers(
                    mission, seat.seat, ed25519=first.raw, ml_dsa_44=second.raw
                ),
            )
        )
    taken = {party.name for party in parties}
    for external in charter.witness.external:
        party = _external(external)
        if party is not None and party.name not in taken:
            taken.add(party.name)
            parties.append(party)
    return Witnesses(
        quorum=charter.witness.q, parties=tuple(parties), freshness=charter.witness.freshness
    )


def log_verifiers(charter: Charter) -> dict[str, NoteVerifier]:
    """The keys of the active seats' logs by origin: what a witness of the mission trusts."""
    found = (
        log_verifier(charter.mission_id, seat.seat, seat.log_key.raw)
        for seat in charter.active_seats
    )
    return {verifier.name: verifier for verifier in found}


def _external(external: ExternalWitness) -> WitnessParty | None:
    """The party of an external witness; None when no note can hold its name: it never counts."""
    kind = COSIGNATURE_ED25519 if external.key.alg == ED25519 else COSIGNATURE_ML_DSA_44
    try:
        verifier = NoteVerifier(name=external.name, key_type=kind, public_key=external.key.raw)
    except MalformedData:
        return None
    return WitnessParty(name=external.name, seat=None, verifiers=(verifier,))
