"""The demo's founding plan and the configuration files of its parties, as text.

Nothing is run here. The layout is one that survives the homeland: two of three card groups are
abroad in different states, and officials abroad alone reach the reading threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from exclave.demo.estate import Estate, FilesSource, PostgresSource, Register
from exclave.postgres_server.server import PostgresServer
from exclave.values import dataclass

__all__ = [
    "ABROAD",
    "HOSTS",
    "OFFICIALS",
    "READERS_ABROAD",
    "SENDING_STATE",
    "Host",
    "Law",
    "Person",
    "deposit_toml",
    "founding_toml",
    "registers_toml",
    "targets_toml",
]

SENDING_STATE: Final = "XV"


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A receiving state with its vault."""

    seat: int
    vault: str
    state: str
    operator: str
    safe: bool = False  # an embassy's safe: no server, no address


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """An official of the sending state."""

    label: str
    name: str
    place: str
    institution: str

    @property
    def key_file(self) -> str:
        """Name of the key file."""
        return f"{self.label}.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """The numbers of a made-up mission's charter: seconds and bytes."""

    delay: int  # of reading; other delays follow from it
    exile_delay: int | None = None  # of the first exile roster, where it is another
    daily: int = 64 * 2**30  # what the depositor may lodge on a day
    staging: int | None = None  # what may lie there without a record; `daily` by default

    def founding_toml(self, *, officials: Path, requests: Path) -> str:
        """The founding plan, with keys and requests in these folders."""
        return founding_toml(
            delay=self.delay,
            officials=officials,
            requests=requests,
            daily=self.daily,
            exile_delay=self.exile_delay,
            staging=self.staging,
        )


HOSTS: Final = (
    Host(seat=1, vault="nordhavn", state="XA", operator="Nordhavn state data centre"),
    Host(seat=2, vault="lissande", state="XB", operator="Lissande office of archives"),
    Host(seat=3, vault="meridia", state="XC", operator="Meridia computing authority"),
)
OFFICIALS: Final = (
    Person(label="chancellor", name="Maarja Tamm", place="home", institution="chancellery"),
    Person(label="minister", name="Õnne Põder", place="home", institution="justice"),
    Person(label="registrar", name="Юрий Соколов", place="home", institution="registers"),
    Person(label="ambassador-a", name="Kadri Saar", place="abroad", institution="embassy-a"),
    Person(label="consul-a", name="Jaan Kask", place="abroad", institution="embassy-a"),
    Person(label="attache-a", name="Liis Mägi", place="abroad", institution="embassy-a"),
    Person(label="ambassador-b", name="Rein Oja", place="abroad", institution="embassy-b"),
    Person(label="consul-b", name="Ülle Jõgi", place="abroad", institution="embassy-b"),
    Person(label="attache-b", name="Anna Lepp", place="abroad", institution="embassy-b"),
)
ABROAD: Final = tuple(person for person in OFFICIALS if person.place == "abroad")
READERS_ABROAD: Final = ("ambassador-a", "ambassador-b")
"""Officials abroad whose two signatures reach the reading threshold."""

_GROUPS: Final = (
    ("Government at home", "home", SENDING_STATE, ("chancellor", "minister", "registrar")),
    ("Embassy in Nordhavn", "abroad", "XA", ("ambassador-a", "consul-a", "attache-a")),
    ("Embassy in Lissande", "abroad", "XB", ("ambassador-b", "consul-b", "attache-b")),
)
_READ: Final = ("chancellor", "minister", "registrar", *READERS_ABROAD)
_GOVERN: Final = ("chancellor", "minister", "registrar", "ambassador-a", "ambassador-b")
# Threshold, members, delay as a multiple of the reading delay plus seconds.
_ROSTERS: Final[tuple[tuple[str, int, tuple[str, ...], int, int], ...]] = (
    ("govern", 3, _GOVERN, 1, 0),
    ("read", 2, _READ, 1, 0),
    ("alarm", 1, tuple(person.label for person in OFFICIALS), 0, 0),
    ("release", 3, _GOVERN, 1, 0),
    ("override", 5, _GOVERN, 2, 0),
)
_EXILE: Final[tuple[tuple[str, int, tuple[str, ...], int, int], ...]] = (
    ("exile_1", 2, ("ambassador-a", "consul-a", "attache-a"), 1, 0),
    ("exile_2", 2, ("ambassador-b", "consul-b", "attache-b"), 2, 1),
)


def founding_toml(
    *,
    delay: int,
    officials: Path,
    requests: Path,
    daily: int,
    hosts: Sequence[Host] = HOSTS,
    k: int = 2,
    h: int = 2,
    exile_delay: int | None = None,
    staging: int | None = None,
) -> str:
    """`founding.toml`: `delay` is the reading delay in seconds, `daily` the depositor's quota.

    Exile's delay is `delay` and `staging` is `daily` unless they are given.
    """
    lines = [
        *_settings(delay, k, h),
        *_recovery(),
        *_rosters(_ROSTERS, delay),
        *_rosters(_EXILE, delay if exile_delay is None else exile_delay),
        f'[delays]\ndark_factor = 3\nexile_change = "{4 * delay + 4} s"\nwarrant_life = "1 d"\n',
        f'[witness]\nf = 0\nq = {len(hosts) // 2 + 1}\nfreshness = "1 h"\n',
        f"[quotas]\nreserve = {daily // 1024}\nstaging = {staging or daily}\nstaging_days = 90\n",
    ]
    for host in hosts:
        request = quoted(str(requests / f"{host.vault}.json"))
        kind = 'type = "safe"\n' if host.safe else ""
        lines.append(f"[[seat]]\nseat = {host.seat}\nrequest = {request}\n{kind}")
    for person in OFFICIALS:
        lines.append(_official(person, officials))
    lines.append(
        f'[[depositor]]\nid = "home"\ndaily_bytes = {daily}\ntotal_bytes = {10 * daily}\n'
        "reserve = true\n"
    )
    return "\n".join(lines)


def _settings(delay: int, k: int, h: int) -> Sequence[str]:
    notice = (
        f"A demonstration: delays of {delay} seconds where days belong, and all cards in one folder"
    )
    return (
        f"notice = {quoted(notice)}",
        "advisory_expiry_days = 365",
        "retention_days = 3650",
        "drill_interval_days = 90",
        "drill_cards_days = 365",
        "whole_deposit_bags = false",
        "agreements_required = false",
        'reader = "in folder KIT of every vault"',
        "",
        f'[state]\ncode = "{SENDING_STATE}"\nname = "Republic of Vanemar"\n',
        f"[dispersal]\nk = {k}\nh = {h}\n",
    )


def _recovery() -> Sequence[str]:
    groups = [
        f"[[recovery.group]]\nname = {quoted(name)}\nplace = {quoted(place)}\n"
        f"state = {quoted(state)}\nthreshold = 2\nmembers = {len(holders)}\n"
        f"holders = {listed(holders)}\n"
        for name, place, state, holders in _GROUPS
    ]
    return ("[recovery]\ngroup_threshold = 2\n", *groups)


def _rosters(
    rosters: Sequence[tuple[str, int, tuple[str, ...], int, int]], delay: int
) -> Sequence[str]:
    return [
        f"[rosters.{name}]\nthreshold = {threshold}\nmembers = {listed(members)}\n"
        f'delay = "{factor * delay + more} s"\nveto_window = "{factor * delay} s"\n'
        for name, threshold, members, factor, more in rosters
    ]


def _official(person: Person, folder: Path) -> str:
    keys = folder / f"{person.key_file}.pub"
    return (
        f"[[official]]\nlabel = {quoted(person.label)}\nkeys = {quoted(str(keys))}\n"
        f"place = {quoted(person.place)}\ninstitution = {quoted(person.institution)}\n"
        f"name = {quoted(person.name)}\ncontact = {quoted(person.label + '@vanemar.example')}\n"
    )


def registers_toml(estate: Estate, bin_dir: Path) -> str:
    """`registers.toml`: the plan of the estate."""
    return "\n".join(_register(register, bin_dir) for register in estate.registers)


def _register(register: Register, bin_dir: Path) -> str:
    lines = [
        "[[register]]",
        f"id = {quoted(register.id)}",
        f"title = {quoted(register.title)}",
        f"owner = {quoted(register.owner)}",
        f"classification = {quoted(register.classification)}",
        f'rpo = "{int(register.rpo.total_seconds())} s"',
        f'rto = "{int(register.rto.total_seconds())} s"',
        f"depends_on = {listed(register.depends_on)}",
        f"runbook = {quoted(str(register.runbook))}",
        f"artefacts = {quoted(str(register.application))}",
        "",
        "[register.source]",
    ]
    source = register.source
    if isinstance(source, PostgresSource):
        lines += [
            'kind = "postgresql"',
            f"host = {quoted(source.host)}",
            f"port = {source.port}",
            f"user = {quoted(source.user)}",
            f"databases = {listed([source.dbname])}",
            f"password_file = {quoted(str(source.passfile))}",
            f"bin_dir = {quoted(str(bin_dir))}",
        ]
    else:
        kind = "files" if isinstance(source, FilesSource) else "sqlite"
        lines += [f'kind = "{kind}"', f"path = {quoted(str(source.path))}"]
    return "\n".join([*lines, ""])


def deposit_toml(*, plan: Path, depositor: Path, state: Path) -> str:
    """`deposit.toml` of the machine at home."""
    return (
        f"depositor = {quoted(str(depositor))}\n"
        f"plan = {quoted(str(plan))}\n"
        f"journal = {quoted(str(state / 'journal.db'))}\n"
        f"catalogue = {quoted(str(state / 'catalogue'))}\n"
        f"spool = {quoted(str(state / 'spool'))}\n"
        'spool_limit = "20GiB"\n'
        f"scratch = {quoted(str(state / 'scratch'))}\n"
    )


def targets_toml(*, server: PostgresServer, folder: Path) -> str:
    """`targets.toml`: databases go to the new server, files and SQLite below the folder."""
    return (
        "[default.postgresql]\n"
        'kind = "postgresql"\n'
        f"host = {quoted(server.host)}\n"
        f"port = {server.port}\n"
        f"user = {quoted(server.user)}\n"
        f"password_file = {quoted(str(server.passfile))}\n\n"
        "[default.folder]\n"
        'kind = "folder"\n'
        f"path = {quoted(str(folder))}\n"
    )


def quoted(text: str) -> str:
    """A TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def listed(items: Sequence[str]) -> str:
    """A TOML list of strings."""
    return "[" + ", ".join(map(quoted, items)) + "]"
