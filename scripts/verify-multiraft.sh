#!/usr/bin/env bash
# Runs what proves many Raft groups on one store: the cores' tests, the multi-region, split and move tests on real
# processes, one region that becomes dozens under load, and a real cluster that loads data, loses a leader, grows by a
# store and loses another. Creates the virtual environment if there is none.
# Prints one line per part; exits with 1 if any part failed. Logs of failed parts are shown and kept.
set -u -o pipefail
cd "$(dirname "$0")/.."

logs=$(mktemp -d "${TMPDIR:-/tmp}/verify-multiraft.XXXXXX")
failures=0

part() { # part NAME COMMAND...: one line, and the end of the log if the command failed
    local name=$1 log="$logs/${1// /-}.log" begun=$SECONDS result=ok
    shift
    "$@" >"$log" 2>&1 || result=FAILED
    printf '%-28s %-6s %4d s   %s\n' "$name" "$result" "$((SECONDS - begun))" "$(summary "$log")"
    if [ "$result" = FAILED ]; then
        failures=$((failures + 1))
        tail -n 40 "$log" | sed 's/^/    /'
    fi
}

summary() { # what the log says of the tests that passed, of the pause after a SIGKILL, of moves, and of the scan after splits
    grep -aE 'writes resumed|PD moved|was moved|were moved|[0-9]+ (passed|failed)|a full scan gives' "$1" | sed -E 's/^[ =]+|[ =]+$//g' | paste -sd';' || true
}

# The stamp file is what make holds to be the installation.
part "environment" make .venv/.installed
if [ "$failures" -eq 0 ]; then
    part "store core" .venv/bin/python -m pytest -q tests/store
    part "placement core" .venv/bin/python -m pytest -q tests/pd
    part "snapshots between stores" .venv/bin/python -m pytest -q tests/rim/test_snapshots.py tests/rim/test_move.py
    part "regions on real processes" .venv/bin/python -m pytest -q tests/integration/test_multi_region.py
    part "splits on real processes" .venv/bin/python -m pytest -q tests/integration/test_split.py
    part "moves on real processes" .venv/bin/python -m pytest -q tests/integration/test_confchange.py
    part "load and split" .venv/bin/python scripts/load_and_split.py
    part "demo: kill, grow, drain" .venv/bin/flaredb demo --tour
fi

if [ "$failures" -gt 0 ]; then
    echo "$failures of the parts failed; logs are in $logs"
    exit 1
fi
rm -rf "$logs"
echo "all parts passed"
