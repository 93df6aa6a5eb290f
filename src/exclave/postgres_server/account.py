"""The account that runs PostgreSQL servers which are started here.

An ordinary user's servers run as that user. PostgreSQL refuses root, so root's servers run as
`postgres` or `nobody`; what that account can reach is found by trying it, not by reading mode
bits, since access lists and security modules have their say too.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from exclave.errors import ExclaveError
from exclave.values import dataclass


class NoServerAccount(ExclaveError):
    """This process is root and no unprivileged account exists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whom server programs run as; `uid` None means this process's own user."""

    name: str
    uid: int | None
    gid: int | None

    def give(self, path: Path) -> None:
        """Make the account own `path`."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        """Run a short program as the account, output captured."""
        return subprocess.run(
            arguments,
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
            cwd="/",
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )

    def spawn(self, arguments: Sequence[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a server as the account.

        In a session of its own, so that Ctrl-C at the terminal reaches only us and servers are
        stopped in our order.
        """
        return subprocess.Popen(
            arguments,
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
            cwd="/",
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


OWN_ACCOUNT = Account(name="own", uid=None, gid=None)


def server_account() -> Account:
    """The account for servers started by this process."""
    if os.geteuid() != 0:
        return OWN_ACCOUNT
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise NoServerAccount("server account: expected postgres or nobody, found neither")


def can_execute(account: Account, path: Path) -> bool:
    """Whether the account may run the program, or enter the folder, at `path`."""
    return account.run(["/usr/bin/test", "-x", str(path)]).returncode == 0


def can_write(account: Account, path: Path) -> bool:
    """Whether the account may write into the folder at `path`."""
    return account.run(["/usr/bin/test", "-w", str(path)]).returncode == 0


def _environment() -> dict[str, str]:
    """Nothing of the caller's environment: PG* variables and locales must not leak in."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
