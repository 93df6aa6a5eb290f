"""The private lines of two missions at one hub, between machines that are network namespaces.

Home and two hosts of one mission, a fellow guest at one of the hosts, and an outsider. Keys,
files, rules and lines are made by the commands of the guides' sections "Private line", as written
there but for the mission's number and the parties' names. Then everybody does what he should not.

Where neither the kernel nor `wireguard-go` carries a line, its interfaces are plain cables: rules,
isolation and the cut line are tried all the same, and the summary says what was not.
`EXCLAVE_TEST_LINES=plain` asks for that.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exclave.authority.charter_parts import Address
from exclave.ids import Seat
from exclave.vault.line.identity import identity_hash
from tests.support.embassy import (
    PROGRAM,
    Embassy,
    files_register,
    found_at,
    seat_beside,
    vault_at,
)
from tests.support.namespaces import (
    Machine,
    World,
    can_make_machines,
    kill,
    missing_programs,
    scan,
)
from tools.commands import joined

DOCS = Path(__file__).parents[2] / "docs"
MIB = 2**20
LISTENER = 7000  # on every machine, at every address: what the rules must hide
PORTS = (22, 80, 443, 5432, LISTENER, 8443, 8444, 51820, 51821, 51822)
OUTER = {
    "hub": "198.51.100.1",
    "second": "198.51.100.2",
    "home": "198.51.100.10",
    "fellow": "198.51.100.20",
    "outsider": "198.51.100.66",
}
HUB, SECOND, HOME, FELLOW = "10.20.0.1", "10.20.0.2", "10.81.1.10", "10.81.2.10"
GUEST = "10.20.0.9"
"""The hub's other seat, which the fellow's mission has."""
OPEN = {(HUB, 8443): "open", (HUB, 8444): "open"}
OPEN_TO_FELLOW = {(GUEST, 8443): "open", (GUEST, 8444): "open"}
REGISTER_MIB = 64


@dataclass(frozen=True, kw_only=True)
class Mission:
    """A mission, and who its machines are: party name by machine."""

    embassy: Embassy
    parties: dict[str, str]
    inner: str
    network: str
    port: int
    file: str

    @property
    def interface(self) -> str:
        return f"xl-{self.embassy.mission.hex()[:8]}"

    def lines_toml(self, keys: dict[str, str]) -> str:
        """What the sending state writes when it has everybody's public key."""
        text = f'charter = "{self.file}.json"\nnetwork = "{self.network}"\n'
        for machine, seat in (("hub", 1), ("second", 2)):
            if machine in self.parties:
                text += f'[[vault]]\nseat = {seat}\nouter = "{OUTER[machine]}:{self.port}"\n'
                text += f'key = "{keys[machine]}"\n'
        (caller,) = set(self.parties) - {"hub", "second"}
        text += f'[[caller]]\nname = "{self.parties[caller]}"\nrole = "depositor"\n'
        text += f'inner = "{self.inner}"\nouter = "{OUTER[caller]}:51820"\nkey = "{keys[caller]}"\n'
        return text


@dataclass(kw_only=True)
class Stage:
    """The machines, the missions, and what has been tried."""

    world: World
    ours: Mission
    theirs: Mission
    wireguard: bool
    covered: list[str] = field(default_factory=list)

    def __getitem__(self, name: str) -> Machine:
        return self.world.machines[name]

    def says(self, text: str) -> None:
        """For the summary."""
        self.covered.append(text)


def guide(name: str) -> list[str]:
    """The commands of a guide's section "Private line"."""
    text = (DOCS / name).read_text(encoding="utf-8")
    section = text.partition(". Private line\n")[2].partition("\n## ")[0]
    commands = [line for _, line in joined(section)]
    assert len(commands) >= 7, name
    return commands


def as_written(stage: Stage, machine: Machine, mission: Mission, command: str) -> list[str]:
    """A command of a guide, with this machine's name and the mission's number."""
    text = command.replace("xl-37f79b9d", mission.interface)
    for name in ("harbour", "registry-1"):
        text = text.replace(f"--as {name}", f"--as {mission.parties[machine.name]}")
    if machine.name == "hub":
        text = text.replace("lines.toml", "ours.toml theirs.toml")
    elif mission is stage.theirs:
        text = text.replace("lines.toml", "theirs.toml")
    else:
        text = text.replace("lines.toml", "ours.toml")
    words = shlex.split(text)
    return [*PROGRAM, *words[1:]] if words[0] == "exclave" else words


def follow(stage: Stage, machine: Machine, mission: Mission, commands: Sequence[str]) -> list[str]:
    """Run commands of a guide; what each of them said."""
    said = []
    for command in commands:
        if not stage.wireguard and command.startswith(("wg ", "wg-quick ")):
            if command.startswith("wg-quick"):
                plain_line(stage, machine, mission)
            continue
        said.append(machine.run(as_written(stage, machine, mission, command)))
    return said


def plain_line(stage: Stage, machine: Machine, mission: Mission) -> None:
    """What stands in for WireGuard: a cable of its own that only this mission's parties have."""
    hub = HUB if mission.file == "ours" else GUEST
    own = {"hub": hub, "second": SECOND}.get(machine.name, mission.inner)
    name = f"{machine.name}-{mission.file}"
    stage.world.join(machine, mission.interface, name, mission.file, f"{own}/32")
    vaults = {"hub": hub, "second": SECOND}
    for peer in mission.parties:
        if peer != machine.name and (peer in vaults or machine.name in vaults):
            route = f"{vaults.get(peer, mission.inner)}/32"
            machine.run(["ip", "route", "add", route, "dev", mission.interface])


def wireguard_works(world: World) -> bool:
    """Whether some WireGuard carries a line here."""
    if os.environ.get("EXCLAVE_TEST_LINES") == "plain" or missing_programs("wg", "wg-quick"):
        return False
    probe = "ip link add name probe type wireguard || wireguard-go probe"
    tried = world.between.start(["sh", "-c", f"{probe} && ip link delete dev probe"])
    tried.communicate(timeout=20)
    return tried.returncode == 0


@contextmanager
def stage_of(folder: Path) -> Iterator[Stage]:
    """Machines without lines, and two missions that were founded elsewhere."""
    places = {
        seat: Address(data=f"10.20.0.{seat}:8443", public=f"10.20.0.{seat}:8444") for seat in (1, 2)
    }
    with ExitStack() as stack:
        vaults = {Seat(n): vault_at(folder / "ours", n, place) for n, place in places.items()}
        ours = stack.enter_context(found_at(folder / "ours", vaults, k=2))
        other = Address(data=f"{GUEST}:8443", public=f"{GUEST}:8444")
        shared = {Seat(1): seat_beside(vaults[Seat(1)], "theirs", other)}
        theirs = stack.enter_context(found_at(folder / "theirs", shared, k=1))
        world = stack.enter_context(World())
        for name, outer in OUTER.items():
            world.machine(name, outer)
        for name in ("ours", "theirs"):
            world.bridge(name)
        yield Stage(
            world=world,
            ours=Mission(
                embassy=ours,
                parties={"hub": "vault-1", "second": "vault-2", "home": ours.depositor.id},
                inner=HOME,
                network="10.81.1.0/24",
                port=51821,
                file="ours",
            ),
            theirs=Mission(
                embassy=theirs,
                parties={"hub": "vault-1", "fellow": theirs.depositor.id},
                inner=FELLOW,
                network="10.81.2.0/24",
                port=51822,
                file="theirs",
            ),
            wireguard=wireguard_works(world),
        )


def test_private_lines(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    reason = can_make_machines() or ", ".join(f"no {name}" for name in missing_programs("nft"))
    if reason:
        pytest.skip(f"not covered here: private lines between network namespaces ({reason})")
    with stage_of(tmp_path) as stage:
        watch_the_world(stage)
        everything_answers_before(stage)
        lines_as_in_the_guides(stage)
        the_outsider_reaches_nothing(stage)
        the_fellow_guest_reaches_the_hub_alone(stage)
        a_line_cut_in_a_deposit_loses_nothing(stage)
        wrong_keys_make_no_line(stage)
        nothing_leaves_beside_the_line(stage)
        for text in stage.covered:
            record_property("covered", f"private lines: {text}")


# Before


def watch_the_world(stage: Stage) -> None:
    """Count what passes between the machines with an inner address on it, for all to read."""
    inner = "{ 10.20.0.0/16, 10.81.0.0/16 }"
    rules = [
        "add table bridge watch",
        "add counter bridge watch outsiders",
        "add counter bridge watch leaks",
        "add chain bridge watch passing { type filter hook prerouting priority 0; }",
    ]
    for side in ("saddr", "daddr"):
        matched = f"add rule bridge watch passing ip {side} {inner}"
        rules.append(f'{matched} iifname "outsider" counter name outsiders accept')
        # Plain cables carry inner addresses, and stand in for lines: they are not looked at.
        bridged = "{ " + ", ".join(f'"{name}"' for name in OUTER) + " }"
        rules.append(f"{matched} iifname {bridged} counter name leaks")
    for rule in rules:
        stage.world.between.run(["nft", rule])


def counted(stage: Stage, name: str) -> int:
    found = json.loads(stage.world.between.run(["nft", "-j", "list", "counters"]))
    return next(
        int(item["counter"]["packets"])
        for item in found["nftables"]
        if item.get("counter", {}).get("name") == name
    )


def everything_answers_before(stage: Stage) -> None:
    """Without rules the scan finds what it looks for: it can be believed later."""
    for name in OUTER:
        serve = f"import http.server as h; h.HTTPServer(('', {LISTENER}), h.BaseHTTPRequestHandler)"
        stage[name].start([PROGRAM[0], "-I", "-c", f"{serve}.serve_forever()"])
    others = [OUTER[name] for name in OUTER if name != "outsider"]
    deadline = time.monotonic() + 20
    while True:
        found = scan(stage["outsider"], others, PORTS)
        if all(found.get((host, LISTENER)) == "open" for host in others):
            break
        assert time.monotonic() < deadline, found
    assert set(found.values()) == {"open", "refused"}
    assert len(found) == len(others) * len(PORTS), "every port says something"


# The guides


def lines_as_in_the_guides(stage: Stage) -> None:
    host, operator = guide("guide-host.md"), guide("guide-operator.md")
    for mission in (stage.ours, stage.theirs):
        keys = {}
        for name in mission.parties:
            source = host if name in ("hub", "second") else operator
            made = [command for command in source if command.startswith("install -d")]
            made += [command for command in source if command.startswith("exclave line key")]
            assert len(made) == 2
            keys[name] = follow(stage, stage[name], mission, made)[-1].strip()
            assert len(base64.b64decode(keys[name])) == 32
        for name in mission.parties:
            charter = mission.embassy.folder / "founding" / "mission" / "charter.json"
            (stage[name].folder / f"{mission.file}.json").write_bytes(charter.read_bytes())
            (stage[name].folder / f"{mission.file}.toml").write_text(mission.lines_toml(keys))
            stage[name].run(["mkdir", "-p", "/etc/wireguard"])
    rest = host[2:]
    follow(stage, stage["hub"], stage.ours, rest)
    guests = [command for command in rest if not command.startswith(("exclave", "nft"))]
    follow(stage, stage["hub"], stage.theirs, guests)
    follow(stage, stage["second"], stage.ours, rest)
    for name, seat in (("hub", 1), ("second", 2)):
        serve(stage, stage[name], stage.ours.embassy.vault_folder(seat))
    prepare_home(stage)
    checked = operator[-1]
    assert checked.startswith("exclave check")
    follow(stage, stage["fellow"], stage.theirs, operator[2:-1])
    follow(stage, stage["home"], stage.ours, operator[2:-1])
    check_until_witnessed(stage, checked)
    stage.says("keys, files, rules and lines made by the commands of both guides")
    if stage.wireguard:
        stage.says("carried by WireGuard, set up by wg-quick")
    else:
        stage.says("NOT COVERED: WireGuard itself and its keys; plain cables stood in for it")


def check_until_witnessed(stage: Stage, checked: str) -> None:
    """Vaults that have just begun to serve have not looked at each other's logs yet."""
    for attempt in range(30):
        try:
            said = follow(stage, stage["home"], stage.ours, [checked])[-1]
        except AssertionError as warned:
            if "FAIL" in str(warned) or attempt == 29:
                raise
            time.sleep(1)
        else:
            assert "FAIL" not in said, said
            return


def serve(stage: Stage, machine: Machine, folder: Path) -> None:
    logged = ["sh", "-c", 'exec "$@" 2> serve.log', "sh"]
    process = machine.start([*logged, *PROGRAM, "vault", "serve", folder])
    assert process.stdout is not None
    assert b"ready" in process.stdout.readline(), f"{machine.name} does not serve"


def prepare_home(stage: Stage) -> None:
    """Registers that neither compress nor repeat, and `deposit.toml` where the guide has it."""
    embassy = stage.ours.embassy
    folder = embassy.home / "registers" / "scans"
    folder.mkdir(parents=True)
    for number in range(REGISTER_MIB):
        (folder / f"scan-{number:03}.bin").write_bytes(os.urandom(MIB))
    embassy.add_register(files_register("scans", folder))
    (stage["home"].folder / "deposit.toml").write_text(embassy.write_config().read_text())


# What nobody may


def reaches(machine: Machine, hosts: Sequence[str], places: dict[tuple[str, int], str]) -> None:
    """These places answer and no others; a machine that is busy may need more than one try."""
    found: dict[tuple[str, int], str] = {}
    for _ in range(10):
        found |= scan(machine, hosts, PORTS)
        if found.items() >= places.items():
            break
    assert found == places


def the_outsider_reaches_nothing(stage: Stage) -> None:
    outsider = stage["outsider"]
    members = [OUTER[name] for name in ("hub", "second", "home", "fellow")]
    for network in ("10.20.0.0/16", "10.81.0.0/16"):
        outsider.run(["ip", "route", "add", network, "via", OUTER["hub"]])
    assert scan(outsider, [*members, HUB, SECOND, HOME, FELLOW], PORTS) == {}
    # As if it were home: the address alone is believed on no other way than the line.
    outsider.run(["ip", "address", "add", f"{HOME}/32", "dev", "eth0"])
    outsider.run(["ip", "route", "replace", "10.20.0.0/16", "via", OUTER["hub"], "src", HOME])
    assert scan(outsider, [HUB, SECOND], PORTS) == {}
    assert counted(stage, "outsiders") > 0, "the outsider's packets were on their way"
    # The same scan from those who may: so the vaults do answer.
    second = {(SECOND, 8443): "open", (SECOND, 8444): "open"}
    reaches(stage["home"], [HUB, SECOND], OPEN | second)
    reaches(stage["hub"], [SECOND, HOME], second)
    stage.says(
        f"an outsider reached none of {len(PORTS)} ports at 4 outer and 4 inner addresses, "
        "nor with home's address as its own"
    )


def the_fellow_guest_reaches_the_hub_alone(stage: Stage) -> None:
    """It has dropped its own rules, sends everything into its line, and the hub routes."""
    fellow, interface = stage["fellow"], stage.theirs.interface
    reaches(fellow, [GUEST], OPEN_TO_FELLOW)
    fellow.run(["nft", "flush", "ruleset"])
    stage["hub"].run(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])
    if stage.wireguard:
        (peer,) = fellow.run(["wg", "show", interface, "peers"]).split()
        fellow.run(["wg", "set", interface, "peer", peer, "allowed-ips", "10.0.0.0/8"])
    for host in (HUB, SECOND, HOME):
        fellow.run(["ip", "route", "add", host, "dev", interface])
    reaches(fellow, [GUEST, HUB, SECOND, HOME], OPEN_TO_FELLOW)
    members = [OUTER[name] for name in ("hub", "second", "home")]
    assert scan(fellow, members, PORTS) == {}
    # Nor does its own door stand open to the other guest.
    home = stage["home"]
    for host in (FELLOW, GUEST):
        home.run(["ip", "route", "add", host, "dev", stage.ours.interface])
    assert scan(home, [FELLOW, GUEST, OUTER["fellow"]], PORTS) == {}
    stage.says("fellow guests reached the two listeners of their own seats, and nothing of others")


# The cut line


def a_line_cut_in_a_deposit_loses_nothing(stage: Stage) -> None:
    """Cut twice: once the depositor is killed meanwhile, once it waits and goes on."""
    embassy = stage.ours.embassy
    cable = "hub" if stage.wireguard else "hub-ours"
    bridge = "bridge" if stage.wireguard else "ours"
    first = start_deposit(stage)
    held = cut_when(stage, first, cable, shards=1)
    still = shards(embassy, 1)
    kill(first)
    stage.world.mend(cable, bridge)
    assert held.items() <= still.items()
    second = start_deposit(stage)
    held = cut_when(stage, second, cable, shards=len(still) + 1)
    time.sleep(2)
    assert second.poll() is None, "it did not wait for the line"
    stage.world.mend(cable, bridge)
    said, complaint = second.communicate(timeout=120)
    assert second.returncode == 0, complaint
    outcome = json.loads(said)
    assert outcome["lodged"] == [1, 2], outcome
    assert held.items() <= shards(embassy, 1).items()
    for machine, seat in (("hub", 1), ("second", 2)):
        stage[machine].run([*PROGRAM, "vault", "fsck", embassy.vault_folder(seat)])
        status = stage[machine].run(
            [*PROGRAM, "--json", "vault", "status", embassy.vault_folder(seat)]
        )
        (ours,) = [
            item
            for item in json.loads(status)["missions"]
            if item["mission"] == embassy.mission.hex()
        ]
        assert ours["records"] == {"lodged": 1}
        assert ours["shards"] == len(shards(embassy, seat))
    both_ends_logged(stage, complaint.decode())
    stage.says(
        f"a line cut twice in a deposit of {REGISTER_MIB} MiB: lodged at both seats, every shard "
        f"that was acknowledged is there ({len(held)} before the last cut)"
    )


def both_ends_logged(stage: Stage, home: str) -> None:
    """What the connections came to: the same words in the depositor's output and the vault's."""
    (said,) = {line.partition(": ")[2] for line in home.splitlines() if line.startswith("seat 1: ")}
    assert "key exchange" in said
    assert "unknown" not in said
    identity = stage.ours.embassy.depositor_identity.certificate
    log = (stage["hub"].folder / "serve.log").read_text()
    assert f"data listener: {identity_hash(identity).hex()}: {said}" in log
    stage.says(f"both ends logged {said}")


def start_deposit(stage: Stage) -> subprocess.Popen[bytes]:
    config = stage["home"].folder / "deposit.toml"
    return stage["home"].start([*PROGRAM, "--json", "deposit", "--config", config])


def cut_when(
    stage: Stage, deposit: subprocess.Popen[bytes], cable: str, *, shards: int
) -> dict[str, str]:
    """Cut the hub's cable as soon as it holds so many shards; what it held then."""
    deadline = time.monotonic() + 60
    while len(names(stage.ours.embassy, 1)) < shards:
        assert deposit.poll() is None, deposit.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    stage.world.cut(cable)
    assert deposit.poll() is None, "the deposit ended before its line could be cut"
    return globals()["shards"](stage.ours.embassy, 1)


def names(embassy: Embassy, seat: int) -> list[Path]:
    return [path for path in (embassy.mission_folder(seat) / "shards").rglob("*") if path.is_file()]


def shards(embassy: Embassy, seat: int) -> dict[str, str]:
    """What lies on a vault's disk, by name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in names(embassy, seat)
    }


# Keys


def wrong_keys_make_no_line(stage: Stage) -> None:
    if not stage.wireguard:
        return
    home, hub, interface = stage["home"], stage["hub"], stage.ours.interface
    own = f"/etc/exclave/lines/{interface}.key"
    other = home.folder / "other.key"
    wrong = home.run([*PROGRAM, "line", "key", other]).strip()
    home.run(["wg", "set", interface, "private-key", other])
    assert scan(home, [HUB, SECOND], [8443, 8444]) == {}
    home.run(["wg", "set", interface, "private-key", own])
    reaches(home, [HUB], OPEN)
    config = hub.run(["cat", f"/etc/wireguard/{interface}.conf"])
    right = config.partition("(depositor)\n")[2].partition("PublicKey = ")[2].split()[0]
    assert right != wrong
    expect_at_hub(hub, interface, remove=right, add=wrong)
    assert scan(home, [HUB], [8443, 8444]) == {}
    expect_at_hub(hub, interface, remove=wrong, add=right)
    home.run(["wg", "set", interface, "private-key", other])
    home.run(["wg", "set", interface, "private-key", own])
    reaches(home, [HUB], OPEN)
    stage.says("a wrong key at either end: no line; the right one again: open")


def expect_at_hub(hub: Machine, interface: str, *, remove: str, add: str) -> None:
    hub.run(["wg", "set", interface, "peer", remove, "remove"])
    place = ["allowed-ips", f"{HOME}/32", "endpoint", f"{OUTER['home']}:51820"]
    hub.run(["wg", "set", interface, "peer", add, *place])


def nothing_leaves_beside_the_line(stage: Stage) -> None:
    """With the line down and a way around it, home sends nothing into the open."""
    home = stage["home"]
    home.run(["ip", "link", "set", "dev", stage.ours.interface, "down"])
    home.run(["ip", "route", "add", HUB, "via", OUTER["hub"]])
    assert scan(home, [HUB], PORTS) == {}
    assert counted(stage, "leaks") == 0
    # The counter is no ornament: without rules they leave.
    home.run(["nft", "flush", "ruleset"])
    assert scan(home, [HUB], PORTS) == {}
    assert counted(stage, "leaks") > 0
    stage.says("no packet with an inner address was seen outside, with the line down neither")
