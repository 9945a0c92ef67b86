#!/usr/bin/env bash
# Runs other languages' TiKV clients against a demo cluster; see interop/README.md.
set -eu
cd "$(dirname "$0")/.."
command -v go >/dev/null || { echo "interop: Go is not installed" >&2; exit 2; }
scratch=$(mktemp -d)
demo=
finish() {
    if [ -n "$demo" ]; then
        kill -TERM "$demo" 2>/dev/null && wait "$demo" || true
    fi
    rm -rf "$scratch"
}
trap finish EXIT
(cd interop/go && go build -o "$scratch/rawkv" .)
"${VENV:-.venv}/bin/python" -m flaredb demo --ready-file "$scratch/ready.json" >"$scratch/demo.log" 2>&1 &
demo=$!
for _ in $(seq 200); do
    [ -e "$scratch/ready.json" ] && break
    kill -0 "$demo" 2>/dev/null || { cat "$scratch/demo.log" >&2; exit 1; }
    sleep 0.1
done
pd=$("${VENV:-.venv}/bin/python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["pd"])' "$scratch/ready.json")
"$scratch/rawkv" "$pd" 2>/dev/null
