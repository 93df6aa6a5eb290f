"""What a signature makes possible, and what it cannot undo: one table, a row a kind."""

from __future__ import annotations

from exclave.authority.envelope import Kind

__all__ = ["EFFECTS"]

Lines = tuple[str, ...]

EFFECTS: dict[Kind, tuple[Lines, Lines]] = {
    Kind.CHARTER: (
        ("Your signature makes this the law of the mission: who may read, and who may change it.",),
        (
            "What lies at the vaults keeps the seats and the recovery key that it was made with.",
            "Cards handed out before still open it. Nothing is deleted.",
        ),
    ),
    Kind.WARRANT: (
        (
            "Your signature lets this reader fetch the encrypted data of these deposits from every",
            "vault. With the recovery key from enough cards, unsealed to the one-time key, it can",
            "read them in clear text. Compare reader and one-time key with whoever asks for it.",
        ),
        ("What was read cannot be unread: a veto or a lockdown stops only what is still to come.",),
    ),
    Kind.VETO: (
        ("The statement that it names takes no effect. That is all: nothing else is stopped.",),
        (
            "It does not stop what took effect already, nor what enough of override sign.",
            "A veto is not taken back: whoever wants the statement still has it signed anew.",
        ),
    ),
    Kind.LOCKDOWN: (
        (
            "Home is frozen. What officials at home have waiting dies, reading that was released",
            "to them stops, and only the exile rosters can ask for anything. Deposits are taken as",
            "before, nothing is deleted, nothing is opened.",
        ),
        (
            "Neither you nor anybody at home can end it: only an exile roster can, with an unlock.",
            "What it stopped stays stopped and is handed in anew. What was read stays read.",
        ),
    ),
    Kind.HOLD: (
        ("Nothing of these deposits is removed from a vault, whatever else allows it.",),
        ("Only the release roster ends it, by a lift. It brings nothing back, and disks fill.",),
    ),
    Kind.EXTEND: (
        (
            "These deposits are kept at least until then. Signed by one person it reaches at most",
            "twice the charter's retention from now on; signed by enough of release, all of it.",
        ),
        ("Nobody can shorten it again: the disks stay that full.",),
    ),
    Kind.COMPROMISE: (
        (
            "What these depositors lodged from that moment on, by the vaults' own logs, is kept,",
            "but a reconstruction never chooses it by itself. They need new keys.",
        ),
        (
            "It deletes nothing and does not stop the thief's machine. Only the govern roster can",
            "say that it began later or never was, by a narrow.",
        ),
    ),
    Kind.RELEASE: (
        ("Exactly these packs can be removed from the vaults once nothing else keeps them.",),
        ("WHAT IS REMOVED IS GONE: no order, no official and no vault brings it back.",),
    ),
    Kind.LIFT: (
        ("These holds end. What only they kept can be removed from the vaults.",),
        ("What is removed after that is gone. A new hold keeps only what is still there.",),
    ),
    Kind.NARROW: (
        (
            "What these depositors lodged before the new moment counts as honest again, and a",
            "reconstruction may choose it by itself.",
        ),
        ("Whatever was restored meanwhile stays restored. One person can declare it again.",),
    ),
    Kind.UNLOCK: (
        (
            "These lockdowns end. When none is left, officials at home act again, and can read",
            "again after their delays.",
        ),
        ("What the lockdown stopped stays stopped. One person can call another lockdown.",),
    ),
    Kind.AGREEMENT: (
        (
            "With the other state's signature, vaults that ask for an agreement take new deposits",
            "at these seats. It opens nothing and deletes nothing.",
        ),
        (
            "Once both have signed it is only strengthened. It ends when its time is over, or when",
            "one of the states terminates it, after its notice.",
        ),
    ),
    Kind.TERMINATE: (
        (
            "When the agreement's notice has run, vaults that ask for one take no new deposits at",
            "its seats.",
        ),
        (
            "It is not taken back: both states sign a new agreement. What is lodged stays, is kept",
            "as long as before, and can be read by warrant as before.",
        ),
    ),
    Kind.GRANT: (
        (
            "The host may do this one thing at this seat in that time. It opens nothing: what lies",
            "there stays sealed, and whatever else shows in the logs is named as before.",
        ),
        ("It is not taken back. It ends by itself.",),
    ),
    Kind.DECLARE: (
        ("A restart or a move of disks in that time is not named as unforeseen.",),
        ("It is in the log of every vault for good.",),
    ),
}
"""For each kind that officials sign: what it makes possible; what cannot be undone."""
