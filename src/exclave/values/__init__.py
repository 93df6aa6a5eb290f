"""Value classes as `dataclasses` makes them, for a twentieth of what making them costs.

To whoever reads or checks types this module *is* `dataclasses`: the same names and meaning. What
differs is when the work is done. The standard library writes and compiles six methods for each
class as it is defined, and a program of some hundred classes pays that at every start, mostly for
classes it will not use. Here:

    __init__                                written when the first value is made
    ==, hash, repr, <, copying, refusals    shared by all classes, over the names of the fields
    what `dataclasses` itself asks for      made when it asks, so its functions take our values

Rules: annotations are texts (`from __future__ import annotations`); only what is used here exists,
`frozen`, `slots`, `kw_only`, `order` and fields with a default, a factory, `init`, `repr` and
`compare`; anything else is refused by Python itself as an unknown argument. A value class does not
build on one of `dataclasses`; the other way round works. Two differences: nobody guards against a
value that shows itself without end, since values do not hold themselves, and a frozen class refuses
every attribute, also one that no field names. Decision record 0036 has the figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # mypy knows these by name: what they allow is checked as ever.
    from dataclasses import MISSING, asdict, dataclass, field, fields, replace
else:
    from exclave.values.classes import MISSING, asdict, dataclass, field, fields, replace

__all__ = ["MISSING", "asdict", "dataclass", "field", "fields", "replace"]
