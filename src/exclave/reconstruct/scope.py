"""What of a deposit is to be reconstructed: everything, registers, or objects of one register.

An object is named as its source names it: database.schema.table, a path, a file. Where a register
has several sources, the name of the source and a colon stand before it.
"""

from __future__ import annotations

from exclave.archive.manifest import Manifest, Register, RegisterSource
from exclave.errors import ConfigurationError
from exclave.values import dataclass

__all__ = ["Part", "Scope"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One source of a register, and which objects of it; none named: all."""

    register: Register  # with all its sources
    source: RegisterSource
    objects: tuple[str, ...] = ()

    @property
    def alone(self) -> Register:
        """The register reduced to this source."""
        return self.register.part(self.source)

    @property
    def name(self) -> str:
        """Tells it from all other parts of a deposit."""
        return f"{self.register.id}/{self.source.name}"

    @property
    def label(self) -> str:
        """What stands before its objects' names: nothing where there is no other source."""
        return f"{self.source.name}: " if len(self.register.sources) > 1 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What to reconstruct; empty means everything."""

    registers: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()  # of one register

    def select(self, manifest: Manifest) -> tuple[Register, ...]:
        """The registers concerned, in the manifest's order."""
        known = [register.id for register in manifest.registers]
        unknown = sorted(set(self.registers) - set(known))
        if unknown:
            raise ConfigurationError(
                f"deposit: no register {', '.join(unknown)}", hint="it holds: " + ", ".join(known)
            )
        if self.objects and len(self.registers) != 1:
            raise ConfigurationError(
                "scope: single tables need the one register that they belong to",
                hint="name it with --register",
            )
        return tuple(r for r in manifest.registers if not self.registers or r.id in self.registers)

    def parts(self, register: Register) -> tuple[Part, ...]:
        """The sources concerned, in the order of their capture."""
        if not self.objects or len(register.sources) == 1:
            return tuple(
                Part(register=register, source=source, objects=self.objects)
                for source in register.sources
            )
        named: dict[str, list[str]] = {}
        for text in self.objects:
            source, colon, name = text.partition(":")
            if not colon or source not in {item.name for item in register.sources}:
                raise _unnamed(register, text)
            named.setdefault(source, []).append(name)
        return tuple(
            Part(register=register, source=source, objects=tuple(named[source.name]))
            for source in register.sources
            if source.name in named
        )


def _unnamed(register: Register, text: str) -> ConfigurationError:
    names = [source.name for source in register.sources]
    return ConfigurationError(
        f"register {register.id}: expected an object with its source, as {names[0]}:NAME, "
        f"got {text!r}",
        hint="its sources: " + ", ".join(names),
    )
