#!/bin/sh
# Run every check, all of them even when one fails, and end with a table. `make test` calls this.
set -u
cd "$(dirname "$0")/.." || exit 1
PATH="$PWD/.venv/bin:$PATH:/usr/sbin:/sbin"
export PATH
# Temporary files of the tests lie in memory where it has room: a disk that hangs for a while fails none of them.
if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ] && [ "$(df -Pm /dev/shm | awk 'NR == 2 { print $4 }')" -gt 4000 ]; then
    TMPDIR=$(mktemp -d /dev/shm/sw-XXXXXX)
    chmod 755 "$TMPDIR"  # the database of some tests runs as another user
    export TMPDIR
    trap 'rm -rf "$TMPDIR"' EXIT
    trap 'exit 1' INT TERM
fi
table=""
twice=""
failed=0

check() {
    name=$1
    shift
    printf '\n==> %s: %s\n' "$name" "$*"
    begin=$(date +%s)
    if "$@"; then verdict=ok; else verdict=FAILED failed=1; fi
    table="$table$(printf '%-12s %-7s %4d s' "$name" "$verdict" $(($(date +%s) - begin)))
"
}

check format ruff format --check .
check lint ruff check .
check types mypy
check imports lint-imports --no-cache --no-logo
check words python scripts/check_words.py
# Tests of real time fail where the machine stands still for seconds. Up to five failures of a step are therefore tried once
# more, one at a time; what passes then is named below the table, for it wants mending. More than five are no accident.
tests() {
    caches=$(mktemp -d)
    if python -m pytest -q -o cache_dir="$caches" "$@"; then
        rm -rf "$caches"
        return 0
    fi
    failures=$(python -c 'import json, sys; print(*json.load(open(sys.argv[1])), sep="\n")' "$caches/v/cache/lastfailed" 2>/dev/null)
    verdict=1
    if [ -n "$failures" ] && [ "$(printf '%s\n' "$failures" | wc -l)" -le 5 ]; then
        printf '\n==> once more, one at a time:\n%s\n' "$failures"
        if python -m pytest -q -o cache_dir="$caches" --last-failed --last-failed-no-failures none "$@" -n 0; then
            verdict=0 twice="$twice$failures
"
        fi
    fi
    rm -rf "$caches"
    return $verdict
}

# Several at a time: most tests wait for sound that takes its time.
check unit tests -m "not client and not conformance" -n 3
check conformance tests -m "conformance and not client" -n 3 --dist loadfile
check clients tests -m client -n 3 --dist loadfile

printf '\n%s' "$table"
[ -z "$twice" ] || printf 'passed only when tried once more:\n%s' "$twice"
exit $failed
