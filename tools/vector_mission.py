"""The mission in which all vectors play: its keys, secrets and names."""

import hashlib

from tests.oracles import sealing as oracle
from tools.vector_cases import drawn

SEED = drawn("recovery seed", 32)
READER_SEED = drawn("reader seed", 32)
SEAT_SEED = drawn("seat seed", 32)
PUBLIC = oracle.xwing_public(SEED)
KEY_HASH = hashlib.sha256(PUBLIC).digest()
MISSION = drawn("mission", 32)
DEPOSIT = drawn("deposit", 16)
EPOCH = 3
SECRET = drawn("deposit secret", 32)
VEIL = drawn("veil", 32)
PACK_ROOT = drawn("pack root", 32)
SEAT = 5
SECRET_INFO = b"exclave/1/deposit-secret\0" + MISSION + DEPOSIT + EPOCH.to_bytes(4) + KEY_HASH
SEALED_SECRET = oracle.hpke_seal(PUBLIC, SECRET, SECRET_INFO, drawn("deposit secret enc", 64))
SECRET_ID = hashlib.sha256(SEALED_SECRET).digest()
