#!/usr/bin/env bash
# Links `prometheus` and `promtool` into FOLDER:
#
#   prometheus.sh FOLDER
#
# Those on PATH where they are, Debian's otherwise: unpacked into the cache, and not installed, as the package starts a
# service.
#
# Ends with 0 when both are there, and with 3 where this machine cannot have them.
set -euo pipefail

CANNOT=3
CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/metagate/e2e"

cannot() {
    {
        printf '\n!!! NO PROMETHEUS: ALERTS AND DASHBOARDS ARE CHECKED WITHOUT promtool\n'
        printf '!!! %s\n' "$@"
        printf '\n'
    } >&2
    exit "$CANNOT"
}

has() { command -v "$1" >/dev/null; }

# With the lists that apt has; where those are missing or too old, root can renew them.
download() {
    apt-get -o APT::Sandbox::User=root download -qq prometheus && return
    [ "$(id -u)" -eq 0 ] || return
    apt-get update -qq && apt-get -o APT::Sandbox::User=root download -qq prometheus
}

unpack() {
    local work="$CACHE/unpack-prometheus.$$"
    [ ! -x "$CACHE/prometheus" ] || [ ! -x "$CACHE/promtool" ] || return 0
    if ! has apt-get || ! has dpkg; then
        cannot 'they are not on PATH, and this is not Debian: put both on PATH.'
    fi
    printf "==> prometheus, promtool: unpacking Debian's prometheus\n"
    mkdir -p "$work"
    # Renamed at the end, so that what lies in the cache is whole.
    (cd "$work" && download && dpkg -x ./*.deb . && mv usr/bin/prometheus usr/bin/promtool "$CACHE/") || {
        rm -rf "$work"
        cannot "Debian's package prometheus cannot be had (apt's message is above): put both on PATH."
    }
    rm -rf "$work"
}

main() {
    [ $# -eq 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
    local folder=$1 program found
    mkdir -p "$folder"
    for program in prometheus promtool; do
        if ! found=$(command -v "$program"); then
            unpack
            found="$CACHE/$program"
        fi
        "$found" --version >/dev/null 2>&1 || cannot "$found does not run here."
        ln -sfn "$(realpath "$found")" "$folder/$program"
    done
}

main "$@"
