#!/bin/sh
# Run every check, all of them even when one fails, and end with a table. `make test` calls this.
set -u
cd "$(dirname "$0")/.." || exit 1
PATH="$PWD/.venv/bin:$PATH:/usr/sbin:/sbin"
export PATH
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
check floors lint-imports --no-cache --no-logo
# Side by side where nothing is measured: real clients keep the machine to themselves.
check unit python -m pytest -q -n 2 -m "not client and not conformance"
check conformance python -m pytest -q -n 2 --dist loadfile -m "conformance and not client"
check clients python -m pytest -q -m client

printf '\n%s' "$table"
exit $failed
