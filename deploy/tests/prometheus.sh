#!/usr/bin/env bash
# Links `prometheus` and `promtool` into FOLDER:
#
#   prometheus.sh FOLDER
#
# It uses the programs on PATH if they are there, and Debian's package otherwise. The package is unpacked into the cache, not
# installed, because its installation starts a service.
#
# The exit code is 0 if both programs are there, and 3 if this machine cannot have them.
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

# Uses apt's current package lists. If they are missing or too old, root can update them.
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
    # Moved at the end, so that the files in the cache are complete.
    (cd "$work" && download && dpkg -x ./*.deb . && mv usr/bin/prometheus usr/bin/promtool "$CACHE/") || {
        rm -rf "$work"
        cannot "Debian's package prometheus cannot be downloaded (apt's message is above): put both on PATH."
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
