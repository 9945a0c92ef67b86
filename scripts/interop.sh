#!/usr/bin/env bash
# Runs other languages' TiKV clients against a demo cluster; see interop/README.md.
# usage: interop.sh [go] [java] [rust]   default: every language whose tools are installed
set -eu
cd "$(dirname "$0")/.."
python=${VENV:-.venv}/bin/python
scratch=$(mktemp -d)
demo=
finish() {
    if [ -n "$demo" ]; then
        kill -TERM "$demo" 2>/dev/null && wait "$demo" || true
    fi
    rm -rf "$scratch"
}
trap finish EXIT

installed() {
    case $1 in
        go) command -v go ;;
        java) command -v java && command -v mvn ;;
        rust) command -v cargo ;;
        *) echo "interop: unknown language $1" >&2; exit 2 ;;
    esac >/dev/null
}

build() {
    case $1 in
        go) (cd interop/go && go build -o "$scratch/go-client" .) ;;
        java) (cd interop/java && mvn -q -B dependency:copy-dependencies -DoutputDirectory="$scratch/jars") ;;
        rust) (cd interop/rust && cargo build --quiet --release --locked --target-dir "${CARGO_TARGET_DIR:-$scratch/rust}") ;;
    esac
}

call() {
    case $1 in
        go) "$scratch/go-client" "$2" 2>/dev/null ;;
        java) java -cp "$scratch/jars/*" interop/java/Interop.java "$2" ;;
        rust) "${CARGO_TARGET_DIR:-$scratch/rust}/release/interop" "$2" ;;
    esac
}

languages=()
for language in "${@:-go java rust}"; do
    for one in $language; do
        if installed "$one"; then languages+=("$one"); else echo "interop: tools of $one are not installed"; fi
    done
done
[ ${#languages[@]} -gt 0 ] || exit 2
for language in "${languages[@]}"; do build "$language"; done

"$python" -m flaredb demo --ready-file "$scratch/ready.json" >"$scratch/demo.log" 2>&1 &
demo=$!
for _ in $(seq 200); do
    [ -e "$scratch/ready.json" ] && break
    kill -0 "$demo" 2>/dev/null || { cat "$scratch/demo.log" >&2; exit 1; }
    sleep 0.1
done
pd=$("$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["pd"])' "$scratch/ready.json")
for language in "${languages[@]}"; do
    echo "== $language"
    call "$language" "$pd"
done
