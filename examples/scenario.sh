# What the scenarios share; each of their `run` reads this file first. Bash.
#
# A scenario plays all parties on this machine: every vault is a process of its own on an address of
# its own (127.x.y.z), every party has a folder. All commands are shown as they are run, so that they
# can be copied. Everything is stopped and removed at the end; KEEP=1 leaves the folder.

set -euo pipefail

SCENARIO=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
PLACE=$(mktemp -d "${TMPDIR:-/tmp}/exclave-scenario-XXXXXX")
NET=127.$((RANDOM % 200 + 20)).$((RANDOM % 250 + 1)) # three parts; the fourth is the party's
declare -A SERVERS=()

if [ -n "${EXCLAVE_PYTHON:-}" ]; then
  PYTHON=$EXCLAVE_PYTHON
elif [ -x "$SCENARIO/../../.venv/bin/python" ]; then
  PYTHON=$SCENARIO/../../.venv/bin/python
else
  PYTHON=python3
fi

# The program; in what is shown it has its plain name.
exclave() { "$PYTHON" -m exclave "$@"; }

say() { printf '\n== %s\n' "$*"; }

# Show a command, then run it.
run() {
  printf '$'
  printf ' %q' "$@"
  printf '\n'
  "$@"
}

# Run a command that must be refused, with this exit code and these words.
refused() {
  local code=$1 words=$2 got=0 said
  shift 2
  printf '$'
  printf ' %q' "$@"
  printf '    # must be refused\n'
  said=$("$@" 2>&1) || got=$?
  printf '%s\n' "$said"
  expect "exit code $code" test "$got" -eq "$code"
  expect "\"$words\" in what it says" grep -qF -- "$words" <<<"$said"
}

# A check: what is expected, then a command that must succeed.
expect() {
  local what=$1
  shift
  if "$@"; then printf 'as expected: %s\n' "$what"; else
    printf 'scenario: expected %s, got otherwise\n' "$what" >&2
    exit 1
  fi
}

# Run a command again until it succeeds, half a minute at most.
await() {
  local what=$1 end=$((SECONDS + 60))
  shift
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $end ]; then
      printf 'scenario: %s: expected within a minute, got nothing\n' "$what" >&2
      exit 1
    fi
    sleep 0.5
  done
}

# Serve a vault in the background until the scenario ends or `shut` names it.
serve() {
  local folder=$1 log=$PLACE/logs/$1.log
  mkdir -p "$PLACE/logs"
  printf '$ exclave vault serve %s &\n' "$folder"
  "$PYTHON" -m exclave vault serve "$folder" >"$log" 2>&1 </dev/null &
  SERVERS[$folder]=$!
  await "vault $folder serves" grep -q '"ready"' "$log"
}

# Stop a vault's server.
shut() {
  local process=${SERVERS[$1]}
  unset "SERVERS[$1]"
  kill "$process"
  wait "$process" || true
}

# Keys of officials, by label; all have one passphrase here, which real ones would never have.
officials() {
  (umask 077 && printf 'correct horse battery staple\n' >passphrase)
  for label in "$@"; do
    run exclave --quiet official init --out "$label.key" --passphrase-file passphrase
  done
}

# Signatures of several officials on one file.
sign() {
  local file=$1
  shift
  for label in "$@"; do
    run exclave --quiet sign "$file" --key "$label.key" --passphrase-file passphrase --yes
  done
}

# Whether a charter is in force at every vault that the charter before it names.
in_force() {
  local said
  said=$(exclave standing --charter mission/charter.json) || true
  [ "$(grep -c "charter $1 in force" <<<"$said")" -eq "$2" ]
}

# Whether a warrant is released at so many vaults.
released() {
  local said
  said=$(exclave warrant status "$1") || true
  [ "$(grep -c "released" <<<"$said")" -eq "$2" ]
}

# A deposit as the catalogue shows it, which must say these words.
shown() {
  run exclave show "$1" -c deposit.toml | tee shown.txt
  expect "$2" grep -qF "$2" shown.txt
}

_end() {
  local code=$?
  trap - EXIT INT TERM
  for folder in "${!SERVERS[@]}"; do shut "$folder"; done
  cd /
  if [ -n "${KEEP:-}" ]; then printf '\nkept: %s\n' "$PLACE"; else rm -rf "$PLACE"; fi
  exit "$code"
}
trap _end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The scenario's own files, with this run's addresses.
cp -R "$SCENARIO/." "$PLACE/"
cd "$PLACE"
find . -name '*.toml' -exec sed -i "s/NET\./$NET./g" {} +
