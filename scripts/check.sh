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
# Several at a time: most tests wait for sound that takes its time.
check unit python -m pytest -q -n 2 -m "not client and not conformance"
check conformance python -m pytest -q -n 3 --dist loadfile -m "conformance and not client"
check clients python -m pytest -q -n 2 --dist loadfile -m client

printf '\n%s' "$table"
exit $failed
