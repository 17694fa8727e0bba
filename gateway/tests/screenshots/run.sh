#!/usr/bin/env bash
# Pictures of status pages, with a folder for each gateway:
#
#   run.sh METAGATE FOLDER
#
# The gateways are the sandbox after its pods have sent some requests; one without pods; and one with 110 pods, some of
# which have markup in an annotation, and whose last reload was refused. METAGATE is the program. Fails if a page does;
# see screenshots.mjs. Needs chromium, node, curl and python3.
set -euo pipefail

[ $# -eq 2 ] || { echo "usage: $0 METAGATE FOLDER" >&2; exit 2; }
metagate=$1 folder=$2
here=$(cd "$(dirname "$0")" && pwd)
gateway=
trap '[ -z "$gateway" ] || kill "$gateway" 2>/dev/null' EXIT

# Two different addresses on which nothing listens.
free_addresses() {
    python3 -c '
import socket
free = [socket.socket() for _ in range(2)]
for one in free: one.bind(("127.0.0.1", 0))
print(*("127.0.0.1:%d" % one.getsockname()[1] for one in free))'
}

# Tries a command until it succeeds, for a minute: far more than any of this takes, even if the machine is busy.
await() {
    local what=$1 end=$((SECONDS + 60))
    shift
    until "$@"; do
        if [ "$SECONDS" -ge "$end" ] || ! kill -0 "$gateway" 2>/dev/null; then
            echo "waited for $what in vain; the end of $folder/metagate.log:" >&2
            tail -n 20 "$folder/metagate.log" >&2
            exit 1
        fi
        sleep 0.2
    done
}

admin() { curl --silent --fail --max-time 10 "http://$METAGATE_ADMIN__LISTEN$1"; }

is_ready() { admin /readyz >/dev/null; }

reload_was_refused() { admin /readyz | grep -q 'was refused'; }

# The gateway closes an interval every five seconds.
shows_traffic() {
    admin /api/v1/state | python3 -c '
import json, sys
sys.exit(not any(interval["requests"] for interval in json.load(sys.stdin)["traffic"]))'
}

start() {
    read -r METAGATE_PODS__LISTEN METAGATE_ADMIN__LISTEN < <(free_addresses)
    export METAGATE_PODS__LISTEN METAGATE_ADMIN__LISTEN
    "$metagate" run "$@" 2>"$folder/metagate.log" &
    gateway=$!
    await 'the gateway to be ready' is_ready
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
    await 'an interval of traffic with requests in it' shows_traffic
    pictures sandbox
    stop
}

# Starts a gateway with the pods of standard input.
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
    # Not by a pipe, which would start the gateway in a subshell.
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
    await 'the reload to be refused' reload_was_refused
    pictures crowd
    stop
}

mkdir -p "$folder"
sandbox
empty
crowd
