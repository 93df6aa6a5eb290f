# What the scenarios share; each of their `run` reads this file first. Bash.
#
# A scenario plays all parties on this machine: every vault is a process of its own on an address of
# its own (127.x.y.z), every party has a folder. All commands are shown as they are run, so that they
# can be copied. Everything is stopped and removed at the end; KEEP=1 leaves the folder.

set -euo pipefail

SCENARIO=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
EXAMPLES=$(dirname "$SCENARIO")
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
  expect "exit code $code (got $got)" test "$got" -eq "$code"
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
    sleep 0.2
  done
}

# Enrol a mission at a vault, and serve it in the background until the scenario ends or `shut` names it.
enrol() {
  local folder=$1 enrolment=$2 mission=$3
  if [ -n "${SERVERS[$folder]:-}" ]; then shut "$folder"; fi
  run exclave vault enrol "$PLACE/$folder" "$enrolment" --mission "$mission"
  serve "$folder"
}

serve() {
  local folder=$1 log=$PLACE/logs/$1.log
  mkdir -p "$PLACE/logs"
  printf '$ exclave vault serve %s &\n' "$folder"
  "$PYTHON" -m exclave vault serve "$PLACE/$folder" >"$log" 2>&1 </dev/null &
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

# A vault: its folder's name, its state, its operator, the last part of its address. The state makes
# its key once and vouches for the seat request; with `without-agreement` it does neither.
vault() {
  local name=$1 state=$2 operator=$3 number=$4 wanted=(--without-agreement)
  if [ "${5:-}" != without-agreement ]; then
    [ -e "$state.key" ] || run exclave agreement key --state "$state" --out "$state.key" \
      --passphrase-file passphrase
    wanted=(--state-key "$state.key.pub")
  fi
  run exclave vault init "$name" --vault "$name" --state "$state" --operator "$operator" \
    --data "$NET.$number:8443" --public "$NET.$number:8444" "${wanted[@]}"
  if [ "${5:-}" != without-agreement ]; then
    run exclave agreement vouch "$name/seat-request.json" --key "$state.key" \
      --passphrase-file passphrase --yes
  fi
}

# Found a guest state's mission in the folder that is named, which has its own half of founding.toml;
# then the states of its two embassies. Its vaults must have handed over their seat requests.
found_state() {
  local folder=$1 home=$2 first=$3 second=$4 text
  cd "$PLACE/$folder"
  for label in chancellor minister registrar ambassador consul envoy attache; do
    run exclave --quiet official init --out "$label.key" \
      --passphrase-file ../passphrase
  done
  text=$(sed "s/\bHOME\b/$home/; s/\bFIRST\b/$first/; s/\bSECOND\b/$second/" \
    "$EXAMPLES/scenario/guest.toml")
  printf '%s\n' "$text" >>founding.toml
  run exclave found founding.toml --out mission --passphrase-file ../passphrase \
    --key chancellor.key --key minister.key --key registrar.key --unsafe-shares-to cards
  MISSION=$(head -1 mission/mission.txt)
  cp "$EXAMPLES/scenario/deposit.toml" deposit.toml
  cp "$EXAMPLES/scenario/registers.toml" registers.toml
  cp "$EXAMPLES/scenario/targets.toml" targets.toml
  mkdir -p home/gazette
  for year in 2024 2025; do echo "gazette of $home, $year" >"home/gazette/$year.txt"; done
  "$PYTHON" - "$home" <<'PY'
import sqlite3
import sys

with sqlite3.connect("home/population.db") as database:
    database.execute("CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT)")
    database.executemany(
        "INSERT INTO person (name) VALUES (?)", [(f"{sys.argv[1]} {i}",) for i in range(3000)]
    )
PY
}

# The agreement of the guest whose folder this is with a host about one seat: both states sign it.
agree() {
  local host=$1 seat=$2 charter=$3
  echo "treaty with $host" >treaty.txt
  sed "s/HOST/$host/; s/SEAT/$seat/" "$EXAMPLES/scenario/agreement.toml" >"agreement-$host.toml"
  run exclave --quiet agreement propose "agreement-$host.toml" --charter "$charter" \
    --reason "treaty with $host" --out "agreement-$host.json"
  run exclave --quiet agreement accept "agreement-$host.json" --charter "$charter" \
    --key "../$host.key" --passphrase-file ../passphrase --yes
  run exclave --quiet agreement accept "agreement-$host.json" --charter "$charter" \
    --key minister.key --key registrar.key --passphrase-file ../passphrase --yes --send
}

# Two embassies, four persons, reconstruct the newest deposit of the folder's state, which they find
# by a card's head or by a later charter; so many vaults answer.
reconstruct_abroad() {
  local many=$1
  shift
  run exclave warrant prepare "$@" --out reading --purpose "the homeland is lost"
  sign reading/warrant.json ambassador envoy
  run exclave warrant submit reading
  await "the warrant is released" released reading "$many"
  run exclave --quiet unseal reading/unseal-request.json --yes --card cards/card-2-1.txt \
    --card cards/card-2-2.txt --card cards/card-3-1.txt --card cards/card-3-2.txt
  run exclave --quiet reconstruct reading --answer reading/answer.json --targets targets.toml
  expect "the gazette as it was" diff -r lost/gazette restored/gazette
}

# Signatures of several officials on one file.
sign() {
  local file=$1
  shift
  for label in "$@"; do
    run exclave --quiet sign "$file" --key "$label.key" --passphrase-file ../passphrase --yes
  done
}

# Whether a charter is in force at every vault that the charter before it names.
in_force() {
  local said
  said=$(exclave standing --charter mission/charter.json 2>&1) || true
  [ "$(grep -c "charter $1 in force" <<<"$said")" -eq "$2" ]
}

# Whether a warrant is released at so many vaults.
released() {
  local said
  said=$(exclave warrant status "$1" 2>&1) || true
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

# The scenario's own files.
cp -R "$SCENARIO/." "$PLACE/"
cd "$PLACE"
# One passphrase for all keys, which nobody would have elsewhere.
(umask 077 && printf 'correct horse battery staple\n' >passphrase)
