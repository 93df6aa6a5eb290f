"""Refusals as RFC 9457 problem documents, both ways (spec/vault-http.md 5).

Every refusal of a vault is a `VaultRefused` with a cause from one table, whether it is raised in
the rules, sent by the server or read by the client. What is no refusal has no document.
"""

from __future__ import annotations

import json
from typing import Final

from exclave.encoding import JsonObject, canonical_json
from exclave.errors import (
    AuthorityError,
    ExclaveError,
    MalformedData,
    NonCanonicalData,
    QuorumNotReached,
    StorageError,
)
from exclave.vault.interface import VaultRefused

__all__ = ["CAUSES", "CONTENT_TYPE", "as_refusal", "problem_document", "read_problem", "refused"]

CONTENT_TYPE: Final = "application/problem+json"
_PREFIX: Final = "urn:exclave:problem:"

CAUSES: Final[dict[str, tuple[int, str]]] = {
    "not-found": (404, "no such thing here"),
    "method-not-allowed": (405, "no such verb"),
    "unknown-mission": (404, "this vault holds no such mission"),
    "unknown-version": (404, "this vault does not speak that version"),
    "malformed": (400, "not the format"),
    "non-canonical": (400, "not the one encoding of what it says"),
    "too-large": (413, "too large"),
    "hash-mismatch": (422, "the bytes do not have this hash"),
    "wrong-seat": (422, "made for another seat or mission"),
    "signature": (403, "a signature is missing or wrong"),
    "quorum": (403, "too few persons signed"),
    "identity": (403, "this identity may not do that"),
    "not-released": (403, "no released warrant allows it"),
    "charter-gap": (409, "an earlier charter is missing"),
    "conflict": (409, "contradicts what is stored"),
    "not-open": (409, "not while things stand as they do"),
    "no-agreement": (403, "the two states have no agreement about this seat"),
    "agreement-incomplete": (403, "one state has not signed the agreement"),
    "agreement-not-begun": (403, "the agreement begins later"),
    "agreement-expired": (403, "the agreement ran out"),
    "agreement-terminated": (403, "the agreement was terminated"),
    "agreement-unmet": (403, "not as it was agreed"),
    "agreement-capacity": (507, "the agreed capacity is used up"),
    "quota": (507, "quota exceeded"),
    "no-space": (507, "no room on this vault"),
    "rate": (429, "too many requests"),
    "unavailable": (503, "cannot answer now"),
}


def refused(cause: str, detail: str, *, hint: str | None = None) -> VaultRefused:
    """The error for a cause of the table."""
    return VaultRefused(detail, cause=cause, status=CAUSES[cause][0], hint=hint)


def as_refusal(error: ExclaveError) -> VaultRefused:
    """The refusal that tells a peer about an error of the layers below."""
    if isinstance(error, VaultRefused):
        return error
    causes = (
        (NonCanonicalData, "non-canonical"),
        (MalformedData, "malformed"),
        (QuorumNotReached, "quorum"),
        (AuthorityError, "signature"),
        (StorageError, "no-space"),
    )
    cause = next((name for kind, name in causes if isinstance(error, kind)), "unavailable")
    return refused(cause, error.message, hint=error.hint)


def problem_document(error: VaultRefused) -> bytes:
    """The document's bytes."""
    title = CAUSES[error.cause][1]
    document: JsonObject = {
        "type": _PREFIX + error.cause,
        "title": title,
        "status": error.status,
        "detail": error.message,
    }
    if error.hint is not None:
        document["hint"] = error.hint
    return canonical_json(document)


def read_problem(body: bytes, status: int) -> VaultRefused:
    """The refusal that a peer sent; anything else than a known problem is `unavailable`."""
    try:
        document = json.loads(body)
        cause = str(document["type"]).removeprefix(_PREFIX)
        detail, hint = str(document["detail"])[:500], document.get("hint")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        cause, detail, hint = "", f"vault: answered {status} without a problem document", None
    if cause not in CAUSES:
        cause = "unavailable"
    return VaultRefused(
        detail, cause=cause, status=status, hint=str(hint)[:500] if hint is not None else None
    )
