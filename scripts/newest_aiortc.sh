#!/bin/sh
# Run the contracts of aiortc and aioice against the newest releases that the package index has.
#
# The pins of pyproject.toml may move to what passes here (docs/adr/0010). The releases go into a temporary
# folder in front of the virtual environment, which stays as it is. Meant for a nightly job.
#
# Environment: VENV  virtual environment of the tests (default: .venv).
set -eu
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}
newest=$(mktemp -d)
trap 'rm -rf "$newest"' EXIT
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade --no-deps --target "$newest" aiortc aioice
for package in aiortc aioice; do
    PYTHONPATH=$newest "$venv/bin/python" -c "from importlib.metadata import version; print('$package', version('$package'))"
done
PYTHONPATH=$newest:$PWD SOFTSWITCH_TEST_NEWEST_AIORTC=1 "$venv/bin/python" -m pytest -q -m "not client" \
    tests/legs/webrtc tests/conformance/test_webrtc.py tests/conformance/test_aiortc_peer.py "$@"
