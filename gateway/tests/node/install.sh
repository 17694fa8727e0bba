#!/usr/bin/env bash
# Installs what the end-to-end tests need beside cargo and the AWS clients, and links the programs into FOLDER:
#
#   install.sh FOLDER
#
# kube-apiserver, etcd and kubectl are those of deploy/node, which the tests of the real node use too.
#
# Exits with 0 if everything is there, with 3 if this machine cannot have it (not root, no namespaces, no Go), and with another
# code if it should have worked and did not.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

CANNOT=3

cannot() {
    printf '\n!!! THE END-TO-END TESTS ARE SKIPPED: THEY CANNOT RUN HERE\n'
    printf '!!! %s\n' "$@"
    printf '\n'
    exit "$CANNOT"
}

has() { command -v "$1" >/dev/null; }

install_packages() {
    local program missing=()
    for program in iptables:iptables chromium:chromium; do
        has "${program%:*}" || missing+=("${program#*:}")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    has apt-get || cannot "missing, by the names of Debian's packages: ${missing[*]}; and there is no apt-get."
    printf '==> installing %s\n' "${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -o DPkg::Lock::Timeout=300 -qq --yes --no-install-recommends "${missing[@]}" >/dev/null
}

main() {
    [ $# -eq 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
    local folder=$1 programs program
    programs=$("$here/../../../deploy/node/install.sh") || {
        [ $? -eq "$CANNOT" ] || exit 1
        cannot 'the reason is above.'
    }
    install_packages
    mkdir -p "$folder"
    for program in kube-apiserver etcd kubectl; do
        ln -sfn "$programs/$program" "$folder/$program"
    done
}

main "$@"
