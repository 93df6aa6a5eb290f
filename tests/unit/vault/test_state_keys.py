"""Another key of the receiving state: handed over, or lost and proven by both; never else."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from exclave.authority.agreement import Agreement, StateKeyForeign
from exclave.authority.enrolment import Enrolment, enrolment_envelope
from exclave.authority.envelope import parse_envelope
from exclave.authority.keys import SignatureInvalid, TypedKey
from exclave.authority.persons import SignatureMissing
from exclave.errors import ConfigurationError, ExclaveError
from exclave.ids import KeyId, Seat
from exclave.signer.bundle import KeyBundle
from exclave.signer.file import load_key_file, public_keys_bytes
from exclave.signer.parties import new_state_key
from exclave.standing.agreed import in_effect
from exclave.vault.installation.agreement_pins import AgreementPins
from exclave.vault.interface import VaultRefused
from exclave.vault.kept.storage import AGREEMENT_KEY
from exclave.vault.line.identity import load_identity
from exclave.vault.mission.agreed import check_deposits
from exclave.vault.mission.submission import submit
from exclave.wiring.agreements import hand_over, load_request, vouch_for
from exclave.wiring.host import enrol_vault, mission_at_hand
from exclave.wiring.new_vaults import init_vault
from exclave.wiring.state_keys import StateKeyUnproven, next_request, pin_state_key
from tests.support.agreements import agreement, next_version, signed
from tests.support.vault_world import Ed, VaultParty, World, new_vault, new_world, next_charter

NUMBER = Seat(1)


@dataclass(frozen=True)
class StateKey:
    """A receiving state's key as the small world has it."""

    bundle: KeyBundle

    @property
    def public(self) -> TypedKey:
        return self.bundle.public[0]

    def sign(self, message: bytes) -> bytes:
        return self.bundle.keys[0].sign(message)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A vault that asks for agreements, one mission, an agreement under the first key."""

    vault: Path
    world: World
    old: KeyBundle
    new: KeyBundle
    request: Path  # the next one, signed by the vault alone

    @property
    def pins(self) -> bytes:
        """What is pinned."""
        return (self.vault / "missions" / self.world.mission.hex() / AGREEMENT_KEY).read_bytes()

    def vouch(self, *, retiring: bool = False, keys: KeyBundle | None = None) -> None:
        """The state signs with its new key, or with its old one."""
        envelope, asked = load_request(self.request)
        if retiring:
            hand_over(self.request, envelope, asked, keys or self.old)
        else:
            vouch_for(self.request, envelope, asked, keys or self.new)

    def submit(self, data: bytes) -> None:
        """Hand a statement in."""
        with mission_at_hand(self.vault, self.world.mission) as mission:
            submit(mission, data)

    def takes(self) -> str | None:
        """Why nothing is deposited; None when it is."""
        with mission_at_hand(self.vault, self.world.mission) as mission:
            try:
                check_deposits(mission, 0)
            except VaultRefused as error:
                return error.cause
        return None

    def in_effect(self) -> Agreement:
        """The agreement about the seat."""
        with mission_at_hand(self.vault, self.world.mission) as mission:
            item = in_effect(mission.standing(), NUMBER)
        assert item is not None
        assert isinstance(item.value, Agreement)
        return item.value

    def world_with(self, key: KeyBundle) -> World:
        """The world whose receiving state has that key."""
        party = replace(self.world.vaults[NUMBER], state=StateKey(key))  # type: ignore[arg-type]
        return replace(self.world, vaults={**self.world.vaults, NUMBER: party})

    def charter(self) -> bytes:
        """The next charter, which names the new key at the seat."""
        named = bytes.fromhex(self.new.public[0].key_id)
        seats = tuple(
            replace(seat, agreement=named) if seat.seat == NUMBER else seat
            for seat in self.world.charter.seats
        )
        return next_charter(self.world, seats=seats)[1]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    vault = tmp_path / "vault"
    old, new = (new_state_key("XA", os.urandom) for _ in range(2))
    for name, bundle in (("old", old), ("new", new)):
        (tmp_path / f"{name}.pub").write_bytes(public_keys_bytes(bundle))
    init_vault(
        vault, vault="vault-1", state="XA", operator="o", data="127.0.0.1:1",
        public="127.0.0.1:2", state_key=tmp_path / "old.pub",
    )  # fmt: skip
    log, seat, first, second = load_key_file(vault / "keys" / "vault.key").keys
    party = VaultParty(
        identity=load_identity(vault / "keys" / "identity.pem"),
        log=Ed(Ed25519PrivateKey.from_private_bytes(log.seed)),
        seat_private=seat.xwing,
        cosigning=(
            Ed(Ed25519PrivateKey.from_private_bytes(first.seed)),
            MLDSA44PrivateKey.from_seed_bytes(second.seed),
        ),
        state=StateKey(old),  # type: ignore[arg-type]
    )
    world = new_world(vaults={NUMBER: party, Seat(2): new_vault(2), Seat(3): new_vault(3)})
    file = tmp_path / "enrolment.json"
    made = Enrolment(
        mission=world.mission, seat=NUMBER, vault="vault-1", charter=world.envelope, history=()
    )
    file.write_bytes(enrolment_envelope(made).to_bytes())
    enrol_vault(vault, file, mission=world.mission)
    request = tmp_path / "next.json"
    next_request(vault, state_key=tmp_path / "new.pub", out=request)
    made_scene = Scene(vault=vault, world=world, old=old, new=new, request=request)
    made_scene.submit(signed(world, agreement(world)))
    assert made_scene.takes() is None
    return made_scene


def key_of(bundle: KeyBundle) -> KeyId:
    return bundle.public[0].key_id


def test_a_key_that_is_handed_over(scene: Scene) -> None:
    """Deposits go on all the while: under the old agreement, then under one with the new key."""
    scene.vouch()
    scene.vouch(retiring=True)
    ((mission, pins),) = pin_state_key(scene.vault, scene.request)
    assert mission == scene.world.mission
    assert pins.key == key_of(scene.new)
    assert [key for key, _ in pins.earlier] == [key_of(scene.old)]
    assert scene.pins == pins.encode()
    assert scene.takes() is None, "what took effect before counts on"
    scene.submit(scene.charter())
    first = scene.in_effect()
    after = next_version(scene.world, first, key=scene.new.public[0])
    world = scene.world_with(scene.new)
    scene.submit(signed(world, after))
    assert scene.in_effect().key == scene.new.public[0]
    assert scene.takes() is None
    old = scene.vault / f"seat-request-{key_of(scene.old)[:16]}.json"
    assert load_request(old)[1].receiving_state_key == scene.old.public[0]
    assert (
        load_request(scene.vault / "seat-request.json")[1].receiving_state_key
        == (scene.new.public[0])
    )
    with pytest.raises(ConfigurationError, match="expected another key"):
        pin_state_key(scene.vault, scene.request)


def test_what_the_old_key_signs_later_lets_nothing_in(scene: Scene) -> None:
    """A thief of the key that was replaced, with the sending state's whole help."""
    scene.vouch()
    scene.vouch(retiring=True)
    pin_state_key(scene.vault, scene.request)
    amended = next_version(scene.world, scene.in_effect(), capacity=2**41)
    scene.submit(signed(scene.world, amended))
    assert scene.takes() == "agreement-unmet"


def test_a_key_that_is_lost_needs_both_states(scene: Scene) -> None:
    """The sending one by a charter in force, the receiving one by another way than the file."""
    scene.vouch()
    before = scene.pins
    for told, says in (
        (None, "expected the signature of the key that is pinned"),
        ("00" * 32, "as you were told"),
        (key_of(scene.new), "expected a charter in force that names key"),
    ):
        with pytest.raises(StateKeyUnproven, match=says):
            pin_state_key(scene.vault, scene.request, told=told)
        assert scene.pins == before
    scene.submit(scene.charter())
    with pytest.raises(StateKeyUnproven, match="the key that is pinned"):
        pin_state_key(scene.vault, scene.request)
    ((_, pins),) = pin_state_key(scene.vault, scene.request, told=key_of(scene.new))
    assert pins.key == key_of(scene.new)
    assert scene.takes() is None


def test_who_has_not_signed(scene: Scene) -> None:
    """Neither an old key alone, nor a stranger's, nor a forged signature, nor another vault's."""
    before = scene.pins
    scene.vouch(retiring=True)
    with pytest.raises(SignatureMissing):
        pin_state_key(scene.vault, scene.request)
    stranger = new_state_key("XA", os.urandom)
    with pytest.raises(StateKeyForeign):
        scene.vouch(keys=stranger)
    with pytest.raises(StateKeyForeign):
        scene.vouch(retiring=True, keys=scene.new)
    scene.vouch()
    envelope = parse_envelope(scene.request.read_bytes())
    forged = replace(
        envelope,
        signatures=tuple(
            replace(one, value=bytes(len(one.value))) if one.key_id == key_of(scene.old) else one
            for one in envelope.signatures
        ),
    )
    scene.request.write_bytes(forged.to_bytes())
    with pytest.raises(SignatureInvalid):
        pin_state_key(scene.vault, scene.request)
    assert scene.pins == before


def test_another_vaults_request(scene: Scene, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (tmp_path / "third.pub").write_bytes(public_keys_bytes(new_state_key("XA", os.urandom)))
    init_vault(
        other, vault="vault-1", state="XA", operator="o", data="127.0.0.1:1",
        public="127.0.0.1:2", state_key=tmp_path / "old.pub",
    )  # fmt: skip
    scene.vouch()
    scene.vouch(retiring=True)
    with pytest.raises(ConfigurationError, match="got another's"):
        pin_state_key(other, scene.request)
    with pytest.raises(ConfigurationError, match="expected another key than the seat request"):
        next_request(scene.vault, state_key=tmp_path / "old.pub", out=tmp_path / "same.json")
    with pytest.raises(ConfigurationError, match="no such seat"):
        next_request(
            scene.vault, state_key=tmp_path / "third.pub", out=tmp_path / "x.json", seat="nobody"
        )


def test_pins_are_read_exactly() -> None:
    one, two = "ab" * 32, "cd" * 32
    pins = AgreementPins(key=KeyId(one), earlier=((KeyId(two), 7),))
    assert AgreementPins.parse(pins.encode(), "f") == pins
    assert AgreementPins.parse(f"{one}\n".encode(), "f") == AgreementPins(key=KeyId(one))
    assert pins.followed_by(KeyId("ef" * 32), 9).earlier == ((one, 9), (two, 7))
    for bad in ("", f"{one}\n{two}\n", f"{one}\n{two} -1\n", f"{one}\n\n", f"{one}\n{two} 07\n",
                f"{one}\n" + f"{two} 7\n" * 17):  # fmt: skip
        with pytest.raises(ExclaveError, match="expected a key id of 64 hex digits"):
            AgreementPins.parse(bad.encode(), "f")
    full = AgreementPins(key=KeyId(one), earlier=((KeyId(two), 7),) * 16)
    with pytest.raises(ConfigurationError, match="at most 16 changes"):
        full.followed_by(KeyId(two), 8)
