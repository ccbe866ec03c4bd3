#!/bin/sh
# Set up everything that `make run` or `make test` needs, once; say so in one line a step.
#
#   scripts/setup.sh run     virtual environment, packages, a nicer voice where apt may give one
#   scripts/setup.sh test    the same, and all tools of the tests
#
# Environment: PYTHON  the interpreter to build on (default: the first fit one that is found).
# Nothing outside this folder is touched, but for Debian packages where we are root or sudo asks no password.
set -eu
cd "$(dirname "$0")/.." || exit 1

purpose=${1:-run}
venv=.venv
case $purpose in
    run) extras=all wanted_tools="" ;;
    test) extras=all,pyvoip,test wanted_tools="turnserver:coturn haproxy:haproxy chromium:chromium firefox-esr:firefox-esr docker-compose:docker-compose systemd-analyze:systemd sipp:sip-tester baresip:baresip-core kamailio:kamailio npm:npm nft:nftables pg_createcluster:postgresql promtool:prometheus redis-server:redis-server pebble:pebble" ;;
    *) echo "usage: scripts/setup.sh run|test" >&2; exit 2 ;;
esac

say() { printf '%s\n' "setup: $*"; }
stop() { printf '%s\n' "setup: $*" >&2; exit 1; }

# ------------------------------------------------------------------ asking apt
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n -- "$@"; fi
}

may_install() {
    command -v apt-get >/dev/null 2>&1 || return 1
    [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; }
}

apt_updated=no
apt_install() {
    # Daemons that come with a package are not to start: the tests start their own, on free ports.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
        as_root chmod 755 /usr/sbin/policy-rc.d
        trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    if [ $apt_updated = no ]; then
        as_root apt-get update -qq >/dev/null 2>&1 || true
        apt_updated=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" \
        >"$log" 2>&1
}

has_library() {
    for folder in /usr/lib/*-linux-gnu /usr/lib /usr/lib64 /usr/local/lib; do
        for file in "$folder/$1".so*; do [ -e "$file" ] && return 0; done
    done
    return 1
}

has_tool() {
    PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1
}

# ------------------------------------------------------------------ Python
fits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.14 python3.11}; do
        if fits "$candidate"; then command -v "$candidate"; return 0; fi
    done
    return 1
}

fingerprint() {
    { pwd; cat pyproject.toml requirements.lock scripts/setup.sh scripts/build_batch.py softswitch/*/*.c softswitch/*/*/*.[ch]; command -v cc gcc; "$venv/bin/python" -V; } 2>/dev/null | sha256sum | cut -d' ' -f1
}

# What the tests need holds what a run needs: either stamp will do for a run.
stamp=$venv/softswitch-$purpose.stamp
if [ -x $venv/bin/python ]; then
    now=$(fingerprint)
    [ "$(cat "$stamp" 2>/dev/null)" = "$now" ] && exit 0
    [ "$purpose" = run ] && [ "$(cat $venv/softswitch-test.stamp 2>/dev/null)" = "$now" ] && exit 0
fi

log=$(mktemp)
say "this is the first time, or something changed: it takes a minute or two"

if [ -e $venv/path ] && [ "$(cat $venv/path)" != "$(pwd)" ]; then
    say "the folder was moved: making a new virtual environment"
    rm -rf $venv
fi
if ! fits $venv/bin/python; then
    if ! python=$(find_python); then
        may_install || stop "Python 3.11 to 3.14 is needed; install one (Debian, Ubuntu: python3), or name it: make PYTHON=..."
        say "python: asking apt"
        apt_install python3 || { cat "$log" >&2; stop "apt could not install python3"; }
        python=$(find_python) || stop "this system has no Python 3.11 to 3.14; name one: make PYTHON=..."
    fi
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    say "python: $version ($python)"
    if ! "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
        package=python$version-venv
        may_install || stop "the Debian package $package is missing: sudo apt-get install $package"
        say "python: asking apt for $package"
        apt_install "$package" || { cat "$log" >&2; stop "apt could not install $package"; }
    fi
    say "virtual environment: $venv"
    rm -rf $venv
    "$python" -m venv $venv >"$log" 2>&1 || { cat "$log" >&2; stop "could not make $venv"; }
fi
pwd > $venv/path

# ------------------------------------------------------------------ system packages that are good to have
missing=""
has_library libflite || missing="$missing libflite1"
for pair in $wanted_tools; do
    has_tool "${pair%%:*}" || missing="$missing ${pair#*:}"
done
if [ "$purpose" = test ]; then
    # One package of the tests (pesq) is compiled when it is installed.
    has_tool g++ || missing="$missing g++"
    headers=$($venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("include"))')
    [ -e "$headers/Python.h" ] || missing="$missing $($venv/bin/python -c 'import sys; print("python%d.%d-dev" % sys.version_info[:2])')"
fi
if [ -n "$missing" ]; then
    if may_install; then
        say "system packages: asking apt for$missing"
        # shellcheck disable=SC2086  # a list of words
        if ! apt_install $missing; then
            for package in $missing; do
                apt_install "$package" || say "apt could not install $package: going on without it"
            done
        fi
    else
        say "without root: going on without$missing (sudo apt-get install$missing brings them)"
    fi
fi

# ------------------------------------------------------------------ Python packages
say "packages: installing softswitch[$extras] into $venv"
# Versions that were tried together, checked by their hashes. An index that lacks one of them must not stop us.
if ! $venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
    --require-hashes -r requirements.lock >"$log" 2>&1; then
    say "packages: requirements.lock cannot be installed here ($(tail -n 1 "$log" | cut -c 1-200))"
    say "packages: going on with the newest versions that pyproject.toml allows"
fi
if ! $venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input -e ".[$extras]" >"$log" 2>&1; then
    cat "$log" >&2
    stop "pip failed, see above"
fi
if [ -e softswitch/media/rtp/_batch.so ]; then
    say "media sockets: compiled code"
else
    say "media sockets: Python alone, since there is no C compiler (gcc makes them cheaper)"
fi
if [ "$purpose" = test ] && has_tool npm; then
    say "JsSIP, SIP.js, wrtc and node-datachannel: installing into $venv/js"
    npm install --prefix $venv/js --no-save --silent --no-audit --no-fund jssip@3.13.8 esbuild@0.25 \
        sip.js@0.21.2 @roamhq/wrtc@0.10.0 node-datachannel@0.33.4 ws@8 >"$log" 2>&1 ||
        say "npm could not install them: going on without these peers of the tests"
fi
if [ "$purpose" = test ]; then
    # pipecat with what its serializers import, beside our own packages: all it asks for is several times as large.
    say "pipecat: installing into $venv/pipecat"
    site=""
    rm -rf $venv/pipecat
    if $venv/bin/python -m venv --without-pip $venv/pipecat >"$log" 2>&1; then
        site=$($venv/pipecat/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
        $venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$site/softswitch.pth"
        $venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --target "$site" \
            pipecat-ai==1.14.0 soxr==1.0.0 loguru==0.7.3 wait_for2==0.4.1 loudness==0.2.0 docstring_parser==0.18.0 \
            sentencex==1.0.32 pillow==13.0.0 aiofiles==25.1.0 websockets==17.4 >"$log" 2>&1 || site=""
    fi
    [ -n "$site" ] || { rm -rf $venv/pipecat; say "pip could not install pipecat: going on without its tests"; }
fi
rm -f "$log"
fingerprint > "$stamp"
say "ready"
