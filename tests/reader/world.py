"""A small mission written from the specification, for the reader's own tests.

Three vault folders (any two suffice), nine cards, one deposit of three registers. Sealing uses the
HPKE of `cryptography`, shares come from `shamir-mnemonic`: the reader meets the work of others.
"""

import base64
import hashlib
import json
import sqlite3
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import shamir_mnemonic
import zstandard
from blake3 import blake3
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA65PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.reader.loaded import load_reader

reader = load_reader()
NOW, LATER = "2026-01-02T03:04:05Z", "2030-01-02T03:04:05Z"
K, SEATS, STATES = 2, (1, 2, 3), ("XB", "XC", "XD")
DEPOSIT = bytes(range(16))


def drawn(label: str, length: int = 32) -> bytes:
    """Bytes that differ by label."""
    return hashlib.shake_256(label.encode()).digest(length)


def b64(data: bytes) -> str:
    """Base64 text."""
    return base64.b64encode(data).decode()


class Keys:
    """Signing keys by label."""

    MAKERS = {  # noqa: RUF012
        "ed25519": Ed25519PrivateKey.from_private_bytes,
        "ml-dsa-65": MLDSA65PrivateKey.from_seed_bytes,
        "ml-dsa-44": MLDSA44PrivateKey.from_seed_bytes,
    }

    def private(self, label: str, alg: str) -> Any:
        """The private key of a label."""
        return self.MAKERS[alg](drawn(f"{alg} {label}"))

    def typed(self, label: str, alg: str = "ed25519") -> dict[str, str]:
        """The typed public key of a label."""
        if alg == "x-wing":
            return {"alg": alg, "key": b64(reader.XWingKey.from_seed(drawn(label)).public())}
        return {"alg": alg, "key": b64(self.private(label, alg).public_key().public_bytes_raw())}


KEYS = Keys()


def envelope(body: dict[str, Any], signers: Iterable[tuple[str, str]]) -> bytes:
    """A statement signed by (label, algorithm)."""
    media = f"application/vnd.exclave.{body['kind']}.v1+json"
    payload = reader.encode_json(body)
    signed = [
        {
            "keyid": reader.key_id(KEYS.typed(label, alg)),
            "sig": b64(KEYS.private(label, alg).sign(reader.pae(media, payload))),
        }
        for label, alg in signers
    ]
    signed.sort(key=lambda s: s["keyid"])
    text = {"payload": b64(payload), "payloadType": media, "signatures": signed}
    return bytes(reader.encode_json(text))


def hpke_seal(public: bytes, info: bytes, plain: bytes) -> bytes:
    """Sealed by the library."""
    suite = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    key = hpke.MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(public[:1184]),
        X25519PublicKey.from_public_bytes(public[1184:]),
    )
    return bytes(suite.encrypt(plain, key, info))


def make_charter(public: bytes, check: bytes, share_set: int) -> dict[str, Any]:
    """Charter 1 of three seats in three states."""
    people = [f"p-{n:016x}" for n in range(6)]

    def role(members: list[int], threshold: int, delay: int) -> dict[str, Any]:
        ids = [people[n] for n in members]
        return {"threshold": threshold, "members": ids, "delay": delay, "veto_window": 0}

    places = [("home", "XA"), ("abroad", "XB"), ("abroad", "XC")]
    return {
        "kind": "charter", "format": 1, "suite": 1, "mission": None, "era": 1, "version": 1,
        "previous": None, "state": {"code": "XA", "name": "Exemplia"}, "notice": "for a test",
        "issued": NOW, "advisory_expiry": LATER, "dispersal": {"k": K, "n": 3, "h": 2},
        "seats": [{
            "seat": s, "type": "vault", "vault": f"v{s}", "state": state, "operator": "host",
            "addresses": [], "identity": b64(b"certificate"), "log_key": KEYS.typed(f"log {s}"),
            "seat_key": KEYS.typed(f"seat {s}", "x-wing"), "agreement": None, "retired": False,
            "witness_keys": [KEYS.typed(f"w {s}"), KEYS.typed(f"w {s}", "ml-dsa-44")],
        } for s, state in zip(SEATS, STATES, strict=True)],
        "recovery": [{
            "epoch": 1, "key": {"alg": "x-wing", "key": b64(public)}, "check": check.hex(),
            "share_set": share_set, "group_threshold": 2, "current": True,
            "groups": [{"name": f"{p} {s}", "place": p, "state": s, "threshold": 2, "members": 3}
                       for p, s in places],
        }],
        "officials": [{
            "id": person, "place": "home" if n < 2 else "abroad", "institution": "office",
            "key_sets": [[KEYS.typed(person)]], "name_hash": drawn(person).hex(),
        } for n, person in enumerate(people)],
        "annex": drawn("annex").hex(),
        "rosters": {
            "govern": role([0, 1], 1, 10), "read": role([0, 1], 1, 10), "alarm": role([0], 1, 0),
            "release": role([0, 1], 1, 10), "override": role([0, 1], 2, 10),
            "exile_1": role([2, 3], 1, 10), "exile_2": role([4, 5], 1, 20),
        },
        "delays": {"dark_factor": 3, "exile_change": 30, "warrant_life": 1000},
        "witness": {"f": 0, "q": 2, "external": [], "freshness": 60},
        "depositors": [{
            "id": "registry", "keys": [KEYS.typed("d"), KEYS.typed("d", "ml-dsa-65")],
            "identity": b64(b"certificate"), "daily_bytes": 1, "total_bytes": 1, "reserve": False,
        }],
        "quotas": {"reserve": 1, "staging": 1, "staging_days": 90}, "retention": {"days": 10},
        "drill": {"interval_days": 1, "cards_days": 1}, "bags": {"whole_deposit": False},
        "agreements": {"required": False},
    }  # fmt: skip


@dataclass
class Pack:
    """Chunks gathered for one pack."""

    kind: int
    number: int
    data: bytes = b""
    entries: list[bytes] = field(default_factory=list)

    def add(self, plain: bytes, role: int = 0) -> list[int]:
        """A chunk; its reference."""
        packed = zstandard.ZstdCompressor().compress(plain)
        codec = int(len(packed) < len(plain))
        stored = packed if codec else plain
        ref = [self.number, len(self.data), len(stored), len(plain), codec]
        self.entries.append(drawn("id") + struct.pack(">IIIBBH", *ref[1:], role, 0))
        self.data += stored
        return ref

    def plaintext(self) -> bytes:
        """With directory, padded to the ladder."""
        directory = b"".join(self.entries)
        rung = next(r for r in reader.LADDER if r >= len(self.data + directory) + 16)
        trailer = struct.pack(">II", len(self.data), len(self.entries)) + b"EXCLDIR1"
        return (self.data + directory).ljust(rung - 16, b"\0") + trailer


@dataclass
class World:
    """Builds folders and cards below a path."""

    root: Path
    manifest_edit: dict[str, Any] = field(default_factory=dict)
    mission: bytes = b""
    public: bytes = b""
    cards: list[list[str]] = field(default_factory=list)
    bodies: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    shards: dict[int, dict[str, bytes]] = field(default_factory=lambda: {s: {} for s in SEATS})
    data: Pack = field(default_factory=lambda: Pack(1, 0))
    small: Pack = field(default_factory=lambda: Pack(2, 2**31))

    def build(self) -> None:
        """Everything."""
        seed = drawn("recovery seed")
        self.cards = shamir_mnemonic.generate_mnemonics(
            2, [(2, 3)] * 3, seed, extendable=True, iteration_exponent=1
        )
        share_set = shamir_mnemonic.Share.from_mnemonic(self.cards[0][0]).identifier
        self.public = reader.XWingKey.from_seed(seed).public()
        check = reader.key_check(seed, reader.key_hash(self.public))
        charter = make_charter(self.public, check, share_set)
        self.mission = reader.sha256(reader.encode_json(charter))
        self._log("charter", envelope(charter, [(charter["officials"][0]["id"], "ed25519")]))
        self._deposit()
        for seat in SEATS:
            self._folder(seat)
        for group, words in enumerate(self.cards):
            for member, text in enumerate(words):
                (self.root / f"card-{group}-{member}.txt").write_text(text + "\n")

    def _log(self, kind: str, body: bytes) -> None:
        payload = base64.b64decode(json.loads(body)["payload"])
        self.bodies.append((kind, body, reader.sha256(payload)))

    def stream(self, pack: Pack, chunks: list[bytes]) -> dict[str, Any]:
        """A stream of chunks in a pack; a node when there are more than 16."""
        refs = [pack.add(chunk) for chunk in chunks if chunk]
        length = sum(ref[3] for ref in refs)
        if len(refs) <= 16:
            return {"length": length, "refs": refs}
        columns = [struct.pack(f">{len(refs)}I", *(r[c] for r in refs)) for c in range(4)]
        node = struct.pack(">4sB3sI", b"EXND", 0, bytes(3), len(refs)) + b"".join(columns)
        root = self.small.add(node + bytes(r[4] for r in refs), role=1)
        return {"length": length, "level": 0, "root": root}

    def text(self, content: str) -> dict[str, Any]:
        """A small stream of the manifest."""
        return self.stream(self.small, [content.encode()])

    def table(self, name: str, lines: list[bytes], key: list[str]) -> dict[str, Any]:
        """A table of (id int4, name text), its rows in key order or in reverse order."""
        data = [line + b"\n" for line in (lines if key else reversed(lines))]
        rows = reader.RowGroups()
        raw = rows.add(b"".join(data)) + rows.finish()
        groups = [raw[at : at + 36] for at in range(0, len(raw), 36)]
        size = max(1, len(data) // 20)
        chunks = [b"".join(data[n : n + size]) for n in range(0, len(data), size)]
        return {
            "type": "pg.table", "database": "people db", "schema": "public", "name": name,
            "columns": [["id", "int4"], ["full name", "text"]], "key": key,
            "order": "key" if key else "stored", "rows": len(lines),
            "row_root": reader.tree_root(groups).hex(),
            "groups": self.stream(self.small, [raw]),
            "data": self.stream(self.data, chunks),
        }  # fmt: skip

    def postgresql(self) -> list[dict[str, Any]]:
        """Objects of a database."""
        schema = 'CREATE TABLE public."t""x"(id int4, "full name" text);\n'
        schema += 'CREATE TABLE public.bag(id int4, "full name" text);\nCREATE SEQUENCE public.s;\n'
        content = drawn("large", 100_000)
        entry = struct.pack(">IQ", 16400, len(content)) + blake3(content).digest()
        acl = b"{postgres=rw/postgres,=r/postgres}"
        entry += struct.pack(">H", 8) + b"postgres" + struct.pack(">I", len(acl)) + acl
        return [
            {"type": "pg.globals", "sql": self.text("CREATE ROLE clerk;\n")},
            {"type": "pg.database", "database": "people db", "encoding": "UTF8", "collate": "C",
             "ctype": "C", "owner": "postgres", "comment": "it's a test",
             "settings": self.text('ALTER DATABASE "people db" SET work_mem = \'8MB\';\n'),
             "extensions": [["plpgsql", "1.0"]]},
            {"type": "pg.schema", "database": "people db", "section": "pre-data",
             "sql": self.text(schema)},
            {"type": "pg.schema", "database": "people db", "section": "post-data",
             "sql": self.text('ALTER TABLE public."t""x" ADD PRIMARY KEY (id);\n')},
            self.table('t"x', [f"{n}\tname {n}\\n".encode() for n in range(3000)], ["id"]),
            self.table("bag", [b"1\t\\N", b"1\t\\N", b"2\t"], []),
            {"type": "pg.sequence", "database": "people db", "schema": "public", "name": "s",
             "last_value": "41", "is_called": True},
            {"type": "pg.largeobjects", "database": "people db", "count": 1,
             "root": reader.tree_root([entry]).hex(), "entries": self.stream(self.small, [entry]),
             "content": self.stream(self.data, [content[:50_000], content[50_000:]])},
        ]  # fmt: skip

    def sqlite(self) -> list[dict[str, Any]]:
        """Object of a SQLite file."""
        path = self.root / "made.db"
        connection = sqlite3.connect(path)
        connection.executescript("CREATE TABLE deeds(a); INSERT INTO deeds VALUES (1), (2);")
        connection.close()
        content = path.read_bytes()
        path.unlink()
        return [{
            "type": "sqlite.database", "file": "deeds.db", "size": len(content),
            "blake3": blake3(content).hexdigest(), "tables": [["deeds", 2]],
            "data": self.stream(self.data, [content]),
        }]  # fmt: skip

    def files(self) -> list[dict[str, Any]]:
        """A tree with every type, a hole and a name that is not UTF-8."""
        records, content = [], b""

        def add(kind: int, path: bytes, mode: int, target: bytes = b"", size: int = 0,  # noqa: PLR0917
                extents: tuple[tuple[int, bytes], ...] = ()) -> None:  # fmt: skip
            nonlocal content
            whole = bytearray(size)
            for at, part in extents:
                whole[at : at + len(part)] = part
            digest = blake3(bytes(whole)).digest() if kind == 1 else bytes(32)
            offset = len(content) if kind == 1 else 0
            head = struct.pack(">BIIIqQQ", kind, mode, 0, 0, -(10**9), size, offset) + digest
            for text in (path, b"root", b"root", target):
                head += struct.pack(">H", len(text)) + text
            head += struct.pack(">I", len(extents))
            head += b"".join(struct.pack(">QQ", at, len(part)) for at, part in extents)
            records.append(head + struct.pack(">H", 0))
            content += b"".join(part for _, part in extents)

        add(2, b"", 0o755)
        add(1, b"empty", 0o600)
        add(5, b"pipe", 0o600)
        add(2, b"sub", 0o500)
        add(1, b"sub/b\xff", 0o640, b"", 300_000, ((0, b"start"), (200_000, b"end")))
        add(4, b"sub/hard", 0o640, b"sub/b\xff")
        add(3, b"sub/link", 0o777, b"../../outside")
        framed = b"".join(struct.pack(">I", len(r)) + r for r in records)
        flat = [r[:29] + bytes(8) + r[37:] for r in records]
        return [{
            "type": "files.tree", "name": "/srv/scans", "count": len(records),
            "tree_root": reader.tree_root(flat).hex(),
            "entries": self.stream(self.small, [framed[:100], framed[100:]]),
            "content": self.stream(self.data, [content]),
        }]  # fmt: skip

    def _register(self, name: str, kind: str, objects: list[Any], **more: Any) -> dict[str, Any]:
        return {
            "id": name, "title": f"The {name}", "owner": "office",
            "classification": "secret", "rpo": 60, "rto": 60, "depends_on": [], "runbook": None,
            "artefacts": None, "started": NOW, "ended": NOW, "notes": [],
            "sources": [self._source(kind, objects)],
        } | more  # fmt: skip

    def _source(self, kind: str, objects: list[Any]) -> dict[str, Any]:
        return {
            "name": kind, "kind": kind, "started": NOW, "ended": NOW, "facts": {"tool": "test"},
            "objects": objects,
        }  # fmt: skip

    def _deposit(self) -> None:
        registers = [
            self._register("people", "postgresql", self.postgresql(),
                           runbook=self.text("Start it.\n"), artefacts=self.files()[0]),
            self._register("deeds", "sqlite", self.sqlite(), depends_on=["people"]),
            self._register("scans", "files", self.files()),
        ]  # fmt: skip
        plan = self.text("# plan\n")
        data = self._seal(self.data)
        manifest = {
            "format": 1, "mission": self.mission.hex(), "deposit": DEPOSIT.hex(), "epoch": 1,
            "started": NOW, "ended": NOW, "software": "test/1", "plan": plan,
            "packs": b64(bytes.fromhex(data["root"])), "registers": registers,
        }  # fmt: skip
        text = reader.encode_json(manifest)
        for old, new in self.manifest_edit.items():
            assert old.encode() in text
            text = text.replace(old.encode(), new.encode())
        self.small.add(text, role=2)
        packs = sorted([data, self._seal(self.small)], key=lambda p: str(p["root"]))
        record = {
            "kind": "record", "mission": self.mission.hex(), "charter": self.mission.hex(),
            "depositor": "registry", "deposit": DEPOSIT.hex(), "epoch": 1, "sequence": 1,
            "previous": None, "full": True, "secrets_dropped": [], "packs_dropped": [],
            "secrets_added": [{"deposit": DEPOSIT.hex(), "sealed": b64(self._sealed_secret())}],
            "packs_added": packs, "claimed_time": NOW,
            "set_root": reader.tree_root(bytes.fromhex(str(p["root"])) for p in packs).hex(),
            "manifest_packs": [p["root"] for p in packs if p["kind"] == "manifest"],
        }  # fmt: skip
        signed = envelope(record, [("d", "ed25519"), ("d", "ml-dsa-65")])
        self._log("record", signed)
        self._log("lodged", signed)

    def _sealed_secret(self) -> bytes:
        if not hasattr(self, "_kept"):
            name = reader.key_hash(self.public)
            info = reader.deposit_secret_info(self.mission, DEPOSIT, 1, name)
            self._kept = hpke_seal(self.public, info, drawn("deposit secret"))
        return self._kept

    def _seal(self, pack: Pack) -> dict[str, Any]:
        plain, veil = pack.plaintext(), drawn(f"veil {pack.kind}")
        header = struct.pack(">8sHBBI", b"EXCLAVEP", 1, pack.kind, K, 1) + self.mission + DEPOSIT
        header += reader.key_hash(self.public) + self._sealed_secret() + drawn("salt")
        key = reader.pack_key(header, drawn("deposit secret"), veil)
        salt = drawn("salt24", 24)
        aead, base, commitment = reader.cobblestone_keys(key, salt, reader.sha256(header))
        body = salt + commitment
        for n in range(len(plain) // 16384 + 1):
            nonce = (base ^ n).to_bytes(12, "big")
            body += AESGCM(aead).encrypt(nonce, plain[16384 * n : 16384 * (n + 1)], None)
        sealed = header + body
        root, size = reader.pack_root(K, sealed), reader.body_length(len(sealed), K)
        rows = list(reader.pieces(sealed.ljust(K * size, b"\0"), size))
        roots = []
        for seat in SEATS:
            share = reader.xor(veil, reader.CODE_FIELD.scale(seat, drawn("slope")))
            leaf = struct.pack(">8sHBBI", b"EXCLAVES", 1, K, seat, 0) + self.mission + root
            shard = share + leaf + struct.pack(">QQ", len(sealed), size)
            shard += reader.combine_rows(reader.code_row(K, seat), rows)
            name = reader.shard_root(shard).hex()
            self.shards[seat][name] = shard
            roots.append([seat, name])
        return {
            "root": root.hex(), "length": len(sealed), "k": K, "shards": roots,
            "secret": reader.sha256(self._sealed_secret()).hex(),
            "kind": "data" if pack.kind == 1 else "manifest",
        }  # fmt: skip

    def _folder(self, seat: int) -> None:
        top = self.root / f"vault-{seat}" / "missions" / self.mission.hex()
        entries = []
        for number, (kind, body, statement) in enumerate(self.bodies):
            name = reader.sha256(body).hex()
            put(top / "bodies" / name[:2] / name, body)
            entries.append(reader.encode_json({
                "type": kind, "mission": self.mission.hex(), "hash": name, "size": len(body),
                "statement": statement.hex(), "logged": NOW, "service": number,
            }))  # fmt: skip
        for name, shard in self.shards[seat].items():
            put(top / "shards" / name[:2] / name, shard)
        tile = top / "log" / "tile"
        framed = b"".join(struct.pack(">H", len(e)) + e for e in entries)
        put(tile / "entries" / "000.p" / str(len(entries)), framed)
        put(tile / "0" / "000.p" / str(len(entries)), b"".join(map(reader.hash_leaf, entries)))
        origin = f"exclave/{self.mission.hex()}/{seat}"
        text = f"{origin}\n{len(entries)}\n{b64(reader.tree_root(entries))}\n"
        private = KEYS.private(f"log {seat}", "ed25519")
        keyid = reader.note_key_id(origin, 1, private.public_key().public_bytes_raw())
        line = f"\n\u2014 {origin} {b64(keyid + private.sign(text.encode()))}\n"
        put(top / "log" / "checkpoint", (text + line).encode())


def put(path: Path, data: bytes) -> None:
    """Write a file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
