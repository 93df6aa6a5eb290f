#!/usr/bin/env bash
# Writes requirements/*.txt from pyproject.toml: pinned, with hashes, for every platform.
# dev.txt is resolved first and constrains the others, so that all of them agree.
# No index address is written: the files install from whatever index the machine is set to.
set -euo pipefail
cd "$(dirname "$0")/.."
UV=${UV:-uv}

compile() { # compile OUTPUT ARGUMENTS...
    local output=$1
    shift
    "$UV" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header --no-annotate --no-strip-extras \
        --output-file "$output" "$@"
}

compile requirements/dev.txt "$@" pyproject.toml --extra demo \
    --group pyproject.toml:build --group pyproject.toml:dev
compile requirements/demo.txt -c requirements/dev.txt pyproject.toml --extra demo \
    --group pyproject.toml:build
compile requirements/run.txt -c requirements/dev.txt pyproject.toml --group pyproject.toml:build
compile requirements/fuzz.txt -c requirements/dev.txt --group pyproject.toml:fuzz
