#!/usr/bin/env bash
# Pictures of status pages, each gateway's in a folder of its own:
#
#   run.sh METAGATE FOLDER
#
# of the sandbox after its pods have asked for this and that; of one without pods; and of one with 110, of which some carry
# markup where an annotation belongs, and whose last reload was refused. METAGATE is the program. Fails where a page does; see
# screenshots.mjs. Needs chromium, node, curl and python3.
set -euo pipefail

[ $# -eq 2 ] || { echo "usage: $0 METAGATE FOLDER" >&2; exit 2; }
metagate=$1 folder=$2
here=$(cd "$(dirname "$0")" && pwd)
gateway=
trap '[ -z "$gateway" ] || kill "$gateway"' EXIT

free_address() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print("127.0.0.1:%d" % s.getsockname()[1])'; }

start() {
    METAGATE_PODS__LISTEN=$(free_address)
    METAGATE_ADMIN__LISTEN=$(free_address)
    export METAGATE_PODS__LISTEN METAGATE_ADMIN__LISTEN
    "$metagate" run "$@" 2>"$folder/metagate.log" &
    gateway=$!
    curl --silent --output /dev/null --retry 50 --retry-connrefused --retry-delay 1 "http://$METAGATE_ADMIN__LISTEN/readyz"
}

stop() {
    kill "$gateway"
    wait "$gateway"
    gateway=
}

pictures() { node "$here/screenshots.mjs" "http://$METAGATE_ADMIN__LISTEN" "$folder/$1"; }

ask() { curl --silent --output /dev/null --interface "$1" "http://$METAGATE_PODS__LISTEN$2"; }

roles=/latest/meta-data/iam/security-credentials/

sandbox() {
    start --sandbox
    for pod in 127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.5 127.0.0.6 127.0.0.99; do
        ask "$pod" "$roles"
        ask "$pod" "${roles}payments-checkout"
        ask "$pod" /latest/meta-data/placement/region
    done
    # Two looks at the traffic, which is looked at every five seconds.
    sleep 11
    pictures sandbox
    stop
}

# Whose pods are those of standard input.
configured() {
    cat >"$folder/roster.toml"
    cat >"$folder/metagate.toml" <<CONFIG
imds.endpoint = "sandbox"
credentials = { source = "sandbox", base_role_arn = "arn:aws:iam::123456789012:role/", region = "eu-west-1" }
roster = { source = "fixed", file = "roster.toml", node = "ip-10-0-0-1.eu-west-1.compute.internal" }
telemetry.cluster = "blue"
CONFIG
    start --config "$folder/metagate.toml"
}

empty() {
    configured </dev/null
    pictures empty
    stop
}

crowd() {
    # Not a pipe into it, which would start the gateway in a shell of its own.
    configured < <(
        printf '[[namespace]]\nname = "payments"\nannotations = { "iam.amazonaws.com/permitted" = ".*:role/payments-.*" }\n'
        for number in $(seq 1 110); do
            role="payments-$number"
            [ $((number % 10)) -ne 0 ] || role="guests-$number"
            [ $((number % 25)) -ne 0 ] || role='\"><img src=x onerror=alert(1)><script>alert(2)</script>'
            printf '[[workload]]\nnamespace = "payments"\npod = "checkout-%s"\nips = ["127.0.1.%s"]\n' "$number" "$number"
            printf 'annotations = { "iam.amazonaws.com/role" = "%s" }\n' "$role"
        done
    )
    for number in 1 2 10 20 25 50; do ask "127.0.1.$number" "$roles"; done
    echo 'nonsense = 1' >>"$folder/metagate.toml"
    until curl --silent "http://$METAGATE_ADMIN__LISTEN/readyz" | grep -q 'was refused'; do sleep 0.2; done
    pictures crowd
    stop
}

mkdir -p "$folder"
sandbox
empty
crowd
