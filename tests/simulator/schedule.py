"""A random schedule from a seed: officials, saboteurs, a coerced quorum, weather; then healing.

    world = run(seed)          raises `Broken` with a readable trace

The cast: h3 (with h2) is the legitimate home government; h1 and h2 are coerced, so that home's
threshold signs whatever the attacker wants; h4 and a3 are saboteurs, one at home and one in
exile_1, who veto, lock and hold whatever they may; a1, a2 and b1 to b3 are honest. Vaults 0 and 1
are faulty. At the end the weather is fair, and everything legitimate must be granted at every
honest vault: `settle` says how, step by step, as an official would do it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import Role, RoleName
from exclave.authority.orders import Veto
from exclave.ids import PackRoot, StatementHash
from exclave.standing.phases import Phase
from exclave.standing.values import Value
from tests.simulator.adversary import Forker, Replayer, lie
from tests.simulator.check import Broken, Checker
from tests.simulator.world import FAULTY, HEARTBEAT, VAULTS, Site, World, new_world, persons
from tests.support.polity import person

STEPS = 24
SABOTEURS = ("h4", "a3")
OVERRIDERS = ("h1", "h2", "h4")


@dataclass
class Play:
    """One schedule as it goes on."""

    world: World
    chance: random.Random
    replayer: Replayer = field(default_factory=Replayer)
    forker: Forker = field(default_factory=lambda: Forker(number=0))

    # What people do

    def submit(self, what: str, value: Value, *names: str, to: list[Site] | None = None):
        """Sign a statement and hand it to some vaults, perhaps one signature at a time."""
        name = self.world.pool.add(value)
        self.replayer.ever.append((name, persons(*names)))
        if to is None:
            to = self.chance.sample(self.world.sites, self.chance.randint(1, 3))
        self.world.say(
            f"{'+'.join(names)} sign {what} {name.hex()[:6]} at vaults {[s.number for s in to]}"
        )
        for site in to:
            if site.up and self.chance.random() < 0.3:
                site.hear(name, persons(names[0]))
            if site.up:
                taken = site.hear(name, persons(*names))
                self.world.say(f"    vault {site.number}: {'logged' if taken else 'refused'}")
        return name

    def in_force(self) -> tuple[StatementHash, Charter]:
        site = self.chance.choice(self.world.honest)
        return site.standing.in_force, site.standing.charter

    def home(self) -> None:
        previous, charter = self.in_force()
        pool = self.world.pool
        kind = self.chance.choice(["warrant", "charter", "release", "lift"])
        if kind == "warrant":
            self.submit("warrant", self.warrant(previous), "h2", "h3")
        elif kind == "charter":
            role = replace(charter.role(RoleName.READ), delay=self.chance.choice([10, 30]))
            value = pool.charter_after(previous, charter, read=role)
            self.submit(f"charter {value.order}", value, "h2", "h3")
        elif kind == "release":
            self.submit("release", pool.release(self.pack()), "h2", "h3")
        else:
            holds = self.named("hold")
            if holds:
                self.submit("lift", pool.lift(self.chance.choice(holds)), "h2", "h3")

    def coerced(self) -> None:
        previous, charter = self.in_force()
        pool = self.world.pool
        kind = self.chance.choice(["warrant", "exile", "quiet", "release", "rivals"])
        if kind == "warrant":
            self.submit("coerced warrant", self.warrant(previous), "h1", "h2")
        elif kind == "release":
            self.submit("coerced release", pool.release(self.pack()), "h1", "h2")
        else:
            changes = self.seized(charter, kind)
            value = pool.charter_after(previous, charter, **changes)
            name = self.submit(f"coerced charter {value.order} ({kind})", value, "h1", "h2")
            if kind == "rivals":
                other = pool.charter_after(previous, charter)
                self.submit(f"coerced charter {value.order} (rival)", other, "h1", "h2")
            elif self.chance.random() < 0.5:
                after = pool.charter_after(name, value)
                self.submit(f"coerced charter {after.order}", after, "h1", "h2")

    def seized(self, charter: Charter, kind: str) -> dict[str, Role]:
        """Exile rosters of the attacker's choice, or nobody left at home who might say no."""
        if kind == "exile":
            first, second = (charter.role(RoleName(n)) for n in ("exile_1", "exile_2"))
            return {
                "exile_1": replace(first, members=second.members),
                "exile_2": replace(second, members=first.members),
            }
        if kind == "quiet":
            two = tuple(sorted((person("h1"), person("h2"))))
            return {
                name: replace(charter.role(RoleName(name)), members=two, threshold=least)
                for name, least in (("alarm", 1), ("read", 2), ("govern", 2))
            }
        return {}

    def saboteur(self) -> None:
        who = self.chance.choice(SABOTEURS)
        kind = self.chance.choice(["veto", "veto", "lockdown", "hold"])
        targets = [n for n, _ in self.replayer.ever[-6:]]
        pool = self.world.pool
        if kind == "veto" and targets:
            target = self.chance.choice(targets)
            self.submit(f"veto of {target.hex()[:6]}", pool.veto(target), who)
        elif kind == "lockdown":
            self.submit("lockdown", pool.lockdown(), who)
        elif kind == "hold":
            self.submit("hold", pool.hold(), who)

    def guardian(self) -> None:
        """An honest official who says no to the coerced."""
        who = self.chance.choice(["h3", "b1", "a1"])
        targets = [n for n, _ in self.replayer.ever[-4:]]
        if targets and self.chance.random() < 0.6:
            target = self.chance.choice(targets)
            self.submit(f"veto of {target.hex()[:6]}", self.world.pool.veto(target), who)
        else:
            self.submit("lockdown", self.world.pool.lockdown(), who)

    def exile(self) -> None:
        who = self.chance.choice([("a1", "a2"), ("b1", "b2"), ("b1", "b2", "b3")])
        site = self.chance.choice(self.world.honest)
        kind = self.chance.choice(["warrant", "era", "unlock", "release"])
        pool, standing = self.world.pool, site.standing
        if kind == "warrant":
            self.submit("exile's warrant", self.warrant(standing.in_force), *who)
        elif kind == "release":
            self.submit("exile's release", pool.release(self.pack()), *who)
        elif kind == "era":
            value = pool.charter_after(
                standing.in_force,
                standing.charter,
                standing.charter.era + self.chance.choice([1, 1, 1, 2]),
                govern=self.governing(who[0]),
            )
            self.submit(f"era {value.order}", value, *who)
        elif standing.open_lockdowns:
            self.submit("unlock", pool.unlock(*standing.open_lockdowns), *who)

    def override(self) -> None:
        """More sign what somebody has vetoed: home's attackers together, or all of exile_2."""
        pool = self.world.pool.names
        vetoed = [v.target for v in pool.values() if isinstance(v, Veto) and v.target in pool]
        if not vetoed:
            return
        name, who = self.chance.choice(vetoed), self.chance.choice([OVERRIDERS, ("b1", "b2", "b3")])
        self.replayer.ever.append((name, persons(*who)))
        self.world.say(f"{'+'.join(who)} override {name.hex()[:6]}")
        for site in self.chance.sample(self.world.sites, 3):
            if site.up:
                site.hear(name, persons(*who))

    def governing(self, who: str) -> Role:
        """After an era that exile opens, who opened it and the honest of home govern together."""
        members = persons(*(("a1", "a2") if who == "a1" else ("b1", "b2")), "h2", "h3")
        role = self.world.pool.first.role(RoleName.GOVERN)
        return replace(role, members=tuple(sorted(members)), threshold=2)

    # What hosts and weather do

    def weather(self) -> None:
        kind = self.chance.choice(["split", "split", "heal", "down", "up", "lie", "wall", "fork"])
        sites = self.world.sites
        if kind == "split":
            sides = self.chance.randint(1, VAULTS - 1)
            order = self.chance.sample(range(VAULTS), VAULTS)
            self.world.groups = {n: int(i < sides) for i, n in enumerate(order)}
        elif kind == "heal":
            self.world.groups = {}
        elif kind in ("down", "up"):
            site = self.chance.choice(sites)
            site.up = kind == "up"
        elif kind == "lie":
            lie(self.world, self.chance, range(FAULTY))
        elif kind == "wall":
            self.chance.choice(self.world.honest).wall_lie = self.chance.choice([0.0, 1e6, -50.0])
        else:
            self.forker.act(self.world, self.chance)
        self.world.say(f"weather: {kind} {self.world.groups if kind == 'split' else ''}")

    def replay(self) -> None:
        self.replayer.replay(self.world, self.chance)

    def gossip(self, loss: float) -> None:
        """Some pairs mirror, some vaults hand their checkpoint round."""
        sites = self.world.sites
        for _ in range(4):
            one, other = self.chance.sample(sites, 2)
            self.world.mirror(one, other, lost=lambda: self.chance.random() < loss)
        for site in sites:
            if self.chance.random() < 0.5:
                self.world.heartbeat(site)

    # Small things

    def warrant(self, charter: StatementHash) -> Value:
        return replace(self.world.pool.warrant(self.world.pool.first), charter=charter)

    def pack(self) -> PackRoot:
        return PackRoot(bytes([self.chance.randrange(6)]) * 32)

    def named(self, kind: str) -> list[StatementHash]:
        pool = self.world.pool.names
        return [n for n, v in pool.items() if getattr(v, "kind", None) == kind]


def run(seed: int, steps: int = STEPS) -> World:
    """One schedule, checked after every step, then settled."""
    chance = random.Random(seed)
    rates = [1.0 - chance.random() / 20 for _ in range(VAULTS)]
    play = Play(world=new_world(chance.randbytes, rates), chance=chance)
    play.world.after_step = Checker()
    play.world.say(f"seed {seed}")
    acts: list[Callable[[], None]] = [
        *(play.home, play.coerced, play.saboteur, play.guardian, play.exile),
        *(play.home, play.exile, play.override, play.weather, play.weather, play.replay),
    ]
    for _ in range(steps):
        chance.choice(acts)()
        play.gossip(loss=0.2)
        play.world.pass_time(chance.choice([0.2, 1.0, 3.0, 9.0, 12.0]))
        for site in play.world.honest:
            site.sweep(play.world.now)
    try:
        settle(play)
        play.forker.check()
    except Broken:
        raise
    except AssertionError as error:
        raise Broken("\n".join([str(error), *play.world.trace])) from error
    return play.world


# Healing


def heartbeat(play: Play) -> None:
    """What a heartbeat does in fair weather: everybody has everything, and a quorum saw it."""
    world = play.world
    for source in world.sites:
        for target in world.honest:
            if source is not target:
                world.mirror(source, target, lost=lambda: False)
    for site in world.honest:
        world.heartbeat(site)
    world.pass_time(HEARTBEAT)


def fair_weather(play: Play, seconds: float) -> None:
    # Three heartbeats, then longer steps: where everybody has everything they change nothing.
    for _ in range(3):
        heartbeat(play)
    end = play.world.now + seconds - 3 * HEARTBEAT
    while play.world.now < end:
        play.world.pass_time(12.0)
        heartbeat(play)


def everywhere(play: Play, what: str, condition: Callable[[Site], bool]) -> None:
    wrong = [site.number for site in play.world.honest if not condition(site)]
    assert not wrong, f"{what}: not so at vaults {wrong}"


def sabotage(play: Play, target: StatementHash) -> None:
    """Whoever may veto among the saboteurs does, and locks again."""
    for who in SABOTEURS:
        play.submit("veto", play.world.pool.veto(target), who, to=play.world.honest)
        play.submit("lockdown", play.world.pool.lockdown(), who, to=play.world.honest)


def settle(play: Play) -> None:
    """Faults end; exile takes over, throws the saboteurs out, and hands back to home."""
    world, pool = play.world, play.world.pool
    world.groups = {}
    for site in world.sites:
        site.up, site.wall_lie = True, 0.0
    world.lies, world.claims = {}, set()
    world.say("fair weather")
    fair_weather(play, 3)
    lockdown = play.submit("lockdown", pool.lockdown(), "a1", to=world.honest)
    everywhere(play, "a lockdown is logged", lambda s: lockdown in s.standing.tightened)
    heartbeat(play)
    everywhere(play, "locked down within one heartbeat", lambda s: s.standing.locked)
    era = open_era(play)
    warrant = play.submit("exile's warrant", play.warrant(era), "b1", "b2", "b3", to=world.honest)
    fair_weather(play, 70)
    everywhere(play, "exile reads", lambda s: s.state(warrant) is Phase.EFFECTIVE)
    locks = {n for s in world.honest for n in s.standing.open_lockdowns}
    play.submit("unlock", pool.unlock(*sorted(locks)), "b1", "b2", "b3", to=world.honest)
    sabotage(play, warrant)
    fair_weather(play, 45)
    everywhere(play, "home is back", lambda s: not s.standing.locked)
    last = play.submit("home's warrant", play.warrant(era), "h2", "h3", to=world.honest)
    sabotage(play, last)
    fair_weather(play, 40)
    everywhere(play, "home reads", lambda s: s.state(last) is Phase.EFFECTIVE)
    everywhere(play, "what is released to no one is kept", lambda s: len(s.packs) > 0)


def open_era(play: Play) -> StatementHash:
    """A new era without saboteurs and without h1, above every other, after what all have logged."""
    world, pool = play.world, play.world.pool
    logged = [{n for n in s.signed if isinstance(pool.names[n], Charter)} for s in world.honest]
    previous = max(set.intersection(*logged), key=lambda n: _charter(play, n).order)
    highest = max(_charter(play, name).era for name in set.union(*logged))
    gone = persons("h1", *SABOTEURS)
    rosters = {}
    for name, role in pool.first.rosters:
        members = tuple(p for p in role.members if p not in gone)
        least = min(role.threshold, len(members) - name.value.startswith("exile"))
        rosters[name.value] = replace(role, members=members, threshold=least)
    rosters["govern"] = replace(
        rosters["govern"], members=tuple(sorted(persons("b1", "b2", "h2", "h3")))
    )
    # An override takes three persons in every charter of a schedule.
    three = tuple(sorted(persons("b3", "h2", "h3")))
    rosters["override"] = replace(rosters["override"], members=three, threshold=3)
    value = pool.charter_after(previous, _charter(play, previous), highest + 1, **rosters)
    era = play.submit(f"era {value.order}", value, "a1", "a2", "b1", "b2", "b3", to=world.honest)
    sabotage(play, era)
    fair_weather(play, 70)
    everywhere(play, "the new era is in force", lambda s: s.standing.in_force == era)
    return era


def _charter(play: Play, name: StatementHash) -> Charter:
    value = play.world.pool.names[name]
    assert isinstance(value, Charter)
    return value
