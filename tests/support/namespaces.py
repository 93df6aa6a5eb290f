"""Machines that are only network namespaces, on one bridge that plays the world between them.

    with World() as world:
        hub = world.machine("hub", "198.51.100.1")
        hub.run(["ip", "address"])                 # as that machine; raises unless it ends with 0
        hub.start([...])                           # a process that lives as long as the machine
        world.cut("hub"); world.mend("hub")        # its cable, somewhere on the way
        scan(hub, ["198.51.100.2"], [22, 8443])    # which of these answer

A machine is a process that sleeps in namespaces of its own (network, mounts, processes). It ends
with the block, the kernel then ends all that runs in it and takes its interfaces away: nothing of
this machine's own network is touched, and nothing is left. Needs root.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

__all__ = ["Machine", "World", "can_make_machines", "kill", "missing_programs", "scan"]

# Reads its order, tries every place at once, and prints what answered.
_SCANNER = """
import asyncio, json, sys
async def one(host, port, seconds):
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        return "refused" if isinstance(error, ConnectionRefusedError) else None
    writer.close()
    return "open"
async def main():
    order = json.loads(sys.argv[1])
    places = [(host, port) for host in order["hosts"] for port in order["ports"]]
    found = await asyncio.gather(*(one(*place, order["seconds"]) for place in places))
    print(json.dumps([[*place, said] for place, said in zip(places, found) if said]))
asyncio.run(main())
"""


def missing_programs(*names: str) -> list[str]:
    """Which of these are not installed."""
    return [name for name in names if shutil.which(name) is None]


def can_make_machines() -> str | None:
    """Why no machine can be made here; None when they can."""
    missing = missing_programs("ip", "unshare", "nsenter", "mount")
    if missing:
        return "no " + ", ".join(missing)
    if os.geteuid() != 0:
        return "needs root"
    made = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "true"],
        capture_output=True,
        check=False,
    )
    return None if made.returncode == 0 else "the kernel makes no namespaces"


@dataclass(kw_only=True)
class Machine:
    """One of them."""

    name: str
    outer: str
    folder: Path
    pid: int = 0
    holder: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """Begin to be there; `/run`, where WireGuard keeps its sockets, and `/etc` are its own."""
        script = (
            "mount -t tmpfs tmpfs /run && cp -a /etc /run/etc && mount --bind /run/etc /etc && "
            "ip link set dev lo up && echo up && exec sleep 900"
        )
        self.holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
             "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == b"up\n", f"{self.name}: could not be made"
        (self.pid,) = _children(self.holder.pid)

    def halt(self) -> None:
        """End it with everything in it."""
        if self.holder is not None:
            self.holder.kill()
            self.holder.communicate()

    def command(self, words: Sequence[object]) -> list[str]:
        """A command line that runs `words` on it, in its folder."""
        enter = ["nsenter", "--target", str(self.pid), "--net", "--mount", "--pid"]
        return [*enter, f"--wd={self.folder}", "--", *map(str, words)]

    def run(
        self, words: Sequence[object], *, codes: Sequence[int] = (0,), seconds: float = 60
    ) -> str:
        """Run to the end; what it said. Fails unless it ended with one of `codes`."""
        done = subprocess.run(
            self.command(words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        said = f"{self.name}: {' '.join(map(str, words))}: {done.returncode}\n{done.stderr}"
        assert done.returncode in codes, said + done.stdout
        return done.stdout

    def start(
        self, words: Sequence[object], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """A process on it, with its output to be read."""
        return subprocess.Popen(
            self.command(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if environment is None else {**os.environ, **environment},
        )


def kill(process: subprocess.Popen[bytes]) -> None:
    """kill -9 of what `start` gave, which is the one that went in and waits for the real one."""
    for child in _children(process.pid):
        os.kill(child, signal.SIGKILL)
    process.communicate(timeout=20)


def _children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@dataclass(kw_only=True)
class World:
    """The machines and what joins them."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="exclave-world-")))
    machines: dict[str, Machine] = field(default_factory=dict)

    def __enter__(self) -> Self:
        try:
            self.between = self._boot("between", "")
            self.bridge("bridge")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for machine in self.machines.values():
            machine.halt()
        shutil.rmtree(self.folder, ignore_errors=True)

    def machine(self, name: str, outer: str) -> Machine:
        """Another machine, with this address on the bridge."""
        made = self._boot(name, outer)
        self.join(made, "eth0", name, "bridge", f"{outer}/24")
        return made

    def join(self, machine: Machine, interface: str, port: str, bridge: str, address: str) -> None:
        """A cable from an interface of a machine, with an address, to a bridge between."""
        # In the namespaces of this process only where the two networks are: nothing is made here.
        enter = ["nsenter", "--target", str(self.between.pid), "--net", "--"]
        link = f"ip link add name {port} type veth peer name {interface} netns {machine.pid}"
        subprocess.run([*enter, *link.split()], check=True)
        self.mend(port, bridge)
        machine.run(["ip", "address", "add", address, "dev", interface])
        machine.run(["ip", "link", "set", "dev", interface, "up"])

    def bridge(self, name: str) -> None:
        """Another place that cables lead to."""
        self.between.run(["ip", "link", "add", "name", name, "type", "bridge"])
        self.between.run(["ip", "link", "set", "dev", name, "up"])

    def cut(self, port: str) -> None:
        """No packet comes through this cable any more; its ends see nothing but silence."""
        self.between.run(["ip", "link", "set", "dev", port, "nomaster"])

    def mend(self, port: str, bridge: str = "bridge") -> None:
        """The cable is whole again."""
        self.between.run(["ip", "link", "set", "dev", port, "master", bridge, "up"])

    def _boot(self, name: str, outer: str) -> Machine:
        folder = self.folder / name
        folder.mkdir()
        made = Machine(name=name, outer=outer, folder=folder)
        self.machines[name] = made
        made.boot()
        return made


def scan(
    machine: Machine, hosts: Sequence[str], ports: Sequence[int], seconds: float = 1.0
) -> dict[tuple[str, int], str]:
    """From there, which of these places answer: `open`, or `refused` by somebody who is there."""
    order = json.dumps({"hosts": hosts, "ports": ports, "seconds": seconds})
    said = machine.run([sys.executable, "-I", "-c", _SCANNER, order])
    return {(host, port): answer for host, port, answer in json.loads(said)}
