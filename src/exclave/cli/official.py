"""`official init`, `sign`: what officials do with their keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from exclave.cli.options import Flag, Out, PassphraseDescriptor, PassphraseFile
from exclave.errors import AuthorityError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exclave.authority.charter import Charter
    from exclave.authority.charter_parts import Official
    from exclave.authority.envelope import Envelope
    from exclave.authority.keys import TypedKey
    from exclave.cli.terminal import Terminal
    from exclave.signer.opening import SigningKeys

__all__ = ["KeyForeign", "NotSigned", "official", "sign", "sign_file", "standing"]

official = App(name="official", help="An official's keys.", help_format="plaintext")


class KeyForeign(AuthorityError):
    """A key that the charter gives no say here."""


class NotSigned(AuthorityError):
    """The official said no."""


@official.command(name="init")
def init(
    *,
    out: Path,
    ssh: Path | None = None,
    pkcs11: str | None = None,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseDescriptor = None,
    terminal: Out,
) -> None:
    """Make an official's keys: the key file, encrypted, and beside it OUT.pub for the founders.

    With an SSH key or a token only OUT.pub is written: the private key stays where it is.

    Parameters
    ----------
    out
        The new key file; OUT.pub is written beside it.
    ssh
        Use this SSH key instead: id_ed25519_sk.pub of a security key, or id_ed25519.pub.
    pkcs11
        Use this key on a token or card instead: a `pkcs11:` URI with its module-path.
    """
    import os

    from exclave.cli.keys import free_place, name_held_key, save_keys
    from exclave.signer.parties import new_official_key

    public = free_place(out)
    if ssh is not None or pkcs11 is not None:
        name_held_key(terminal, public, ssh=ssh, pkcs11=pkcs11)
        return
    bundle = new_official_key(os.urandom)
    save_keys(terminal, bundle, out, file=passphrase_file, descriptor=passphrase_fd)
    terminal.result(
        {"id": bundle.id, "key_file": str(out), "public": str(public)},
        [
            f"official {bundle.id}",
            f"keys    {out}",
            f"public  {public} (hand this to the founders)",
        ],
    )


@official.command(name="card")
def open_card(
    sealed: Path,
    *,
    key: Path,
    mission: str,
    out: Path | None = None,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseDescriptor = None,
    terminal: Out,
) -> None:
    """Open a share card that was sealed to an official's key, to be copied or printed.

    Parameters
    ----------
    sealed
        The card-<group>-<member>.sealed file.
    key
        The official's key file.
    mission
        The mission id in hex.
    out
        Write the card into this new file (0600) instead of showing it.
    """
    from exclave.cli.names import named_mission
    from exclave.cli.passphrases import passphrase_source
    from exclave.found.cards import open_sealed_card
    from exclave.signer.file import load_key_file, write_once
    from exclave.wiring.files import read_file

    if out is None:
        terminal.require_person("card: it is shown on a terminal, and there is none")
    named = named_mission(mission)
    source = passphrase_source(
        terminal, f"passphrase of {key}", file=passphrase_file, descriptor=passphrase_fd
    )
    bundle = load_key_file(key, source)
    card = open_sealed_card(bundle.only("x-wing").xwing, read_file(sealed), named)
    if out is None:
        terminal.show_alone(f"card {sealed}", card)
    else:
        write_once(out, card.encode("utf-8"))
        terminal.result({"card": str(out)}, [f"card written to {out}: print it, then destroy it"])


def sign(
    file: Path,
    *,
    key: Annotated[list[str], Parameter(consume_multiple=True, negative=())],
    charter: Path | None = None,
    signature: Path | None = None,
    yes: Flag = False,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseDescriptor = None,
    terminal: Out,
) -> None:
    """Show what a charter, warrant or order says, ask, and add an official's signature to its file.

    It shows who is asked and who signed already, when it takes effect and what can stop it, what it
    makes possible and what cannot be undone; of a new charter, what it changes.

    Parameters
    ----------
    file
        The charter, warrant or order; the signature is added in place.
    key
        The official's key file, SSH key or `pkcs11:` URI; several officials may sign one after the
        other.
    charter
        The charter in force: says who must sign and how long vaults wait, and what a new charter
        changes; the charter.json beside FILE otherwise.
    signature
        Leave FILE as it is and write the signatures alone into this new file, to be sent back.
    yes
        Do not ask.
    """
    from exclave.authority.envelope import parse_envelope
    from exclave.wiring.files import load_charter, read_file
    from exclave.wiring.officials import charter_beside

    envelope = parse_envelope(read_file(file))
    law = charter_beside(file, envelope) if charter is None else load_charter(charter)
    signed = sign_file(
        terminal,
        file,
        envelope,
        law,
        keys=key,
        signature=signature,
        yes=yes,
        passphrase_file=passphrase_file,
        passphrase_fd=passphrase_fd,
    )
    terminal.result(*standing(file if signature is None else signature, signed, law))


def sign_file(
    terminal: Terminal,
    file: Path,
    envelope: Envelope,
    law: Charter | None,
    *,
    keys: Sequence[str],
    signature: Path | None = None,
    yes: bool,
    passphrase_file: Path | None,
    passphrase_fd: int | None,
) -> Envelope:
    """Show what a file's statement says, ask for each key, and add its signatures.

    They go into the file, or alone into the new file `signature`.
    """
    from exclave.cli.keys import open_for_signing
    from exclave.cli.words.statement import describe
    from exclave.durable import replace_file
    from exclave.signer.interface import sign_envelope

    target = None if signature is None else _DetachedFile(signature)
    for line in describe(envelope, law):
        terminal.info(line)
    for name in keys:
        if not yes and not terminal.confirm(f"sign this with {name}?"):
            raise NotSigned(f"{file}: not signed")
        bundle = open_for_signing(terminal, name, file=passphrase_file, descriptor=passphrase_fd)
        _check_say(bundle, envelope, law)
        envelope = sign_envelope(envelope, bundle.signers)
        if target is None:
            replace_file(file, [envelope.to_bytes()], mode=file.stat().st_mode & 0o777)
        else:
            target.write(envelope, bundle.public)
    return envelope


class _DetachedFile:
    """Where the signatures go that are sent back without their statement."""

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise ConfigurationError(f"{path}: expected a new file", hint="name another file")
        self._path = path
        self._keys: list[TypedKey] = []

    def write(self, envelope: Envelope, keys: Iterable[TypedKey]) -> None:
        """Write those of `keys` too, whole."""
        from exclave.authority.detached import detach
        from exclave.durable import replace_file

        self._keys += keys
        replace_file(self._path, [detach(envelope, self._keys).to_bytes()], mode=0o644)


def _check_say(bundle: SigningKeys, envelope: Envelope, law: Charter | None) -> None:
    from exclave.authority.agreement import check_state_key
    from exclave.authority.asked import may_sign
    from exclave.authority.charter import parse_charter
    from exclave.authority.envelope import Kind
    from exclave.signer.bundle import Purpose

    if bundle.purpose is Purpose.STATE:
        check_state_key(bundle.public, envelope)
        return
    if bundle.purpose is not Purpose.OFFICIAL:
        raise KeyForeign(f"keys of {bundle.id}: expected an official's, got a {bundle.purpose}'s")
    if envelope.kind is Kind.LOCKDOWN:
        # Whom a change of the exile rosters replaced may lock down until it has settled, and
        # that charter may not be at hand (spec/standing.md 3): vaults decide, nobody is kept out.
        return
    founding = envelope.kind is Kind.CHARTER
    if law is None and not founding:
        return
    known = [] if law is None else [*law.officials]
    known += parse_charter(envelope).officials if founding else ()
    if not _owned(bundle, known):
        what = "this charter" if founding else "the charter"
        raise KeyForeign(f"keys of {bundle.id}: {what} knows no official with these keys")
    if not _owned(bundle, may_sign(envelope, law).values()):
        raise KeyForeign(
            f"keys of {bundle.id}: expected a member of a roster that is asked, got none of them",
            hint=f"this official's signature counts for nothing under a {envelope.kind}",
        )


def _owned(bundle: SigningKeys, officials: Iterable[Official]) -> bool:
    mine = {key.key_id for key in bundle.public}
    # One of a set is enough: the others may lie in another place and sign after it.
    sets = [set_ for person in officials for set_ in person.key_sets]
    return any({key.key_id for key in keys} & mine for keys in sets)


def standing(
    file: Path, envelope: Envelope, law: Charter | None
) -> tuple[dict[str, object], list[str]]:
    """How many of whom have signed, for programs and for people."""
    from exclave.authority.asked import asked
    from exclave.cli.words.agreement import host_line

    asking = asked(envelope, law)
    rosters = asking.all
    value: dict[str, object] = {
        "statement": envelope.statement_hash.hex(),
        "signatures": len(envelope.signatures),
        "rosters": [
            {"roster": item.name, "signed": len(item.signed), "required": item.threshold}
            for item in (*rosters, *asking.locked)
        ],
    }
    lines = [
        f"{file}: {len(item.signed)} of {len(item.members)} officials signed, "
        f"{item.threshold} required" + (f" ({item.name})" if len(rosters) > 1 else "")
        for item in rosters
    ]
    lines += [
        f"under a lockdown: {len(item.signed)} of {len(item.members)} officials signed, "
        f"{item.threshold} required ({item.name})"
        for item in asking.locked
        if item.signed
    ]
    if (host := host_line(envelope)) is not None:
        lines.append(f"{file}: {host}")
    if rosters:
        value |= {"signed": len(rosters[0].signed), "required": rosters[0].threshold}
    return value, lines or [f"{file}: {len(envelope.signatures)} signatures"]
