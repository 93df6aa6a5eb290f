"""Runs one fuzz target, Exclave alone instrumented: `python -m tools.fuzz_target FILE [ARG ...]`.

A target run by itself instruments every library that it loaded, which takes longer than a short
campaign; what the libraries do inside says little about our decoders.
"""

import importlib.util
import sys
from pathlib import Path

import atheris


def main(arguments: list[str]) -> None:
    """Load the target's check and fuzz it with libFuzzer's arguments."""
    path = Path(arguments[0])
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"fuzz: {path}: expected a target, got none")
    module = importlib.util.module_from_spec(spec)
    with atheris.instrument_imports(include=["exclave"]):
        spec.loader.exec_module(module)
    checks = [
        value
        for name, value in vars(module).items()
        if name.startswith("check") and getattr(value, "__module__", "") == path.stem
    ]
    if len(checks) != 1:
        raise SystemExit(f"fuzz: {path}: expected one check function, got {len(checks)}")
    atheris.Setup([str(path), *arguments[1:]], checks[0])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
