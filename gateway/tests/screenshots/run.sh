#!/usr/bin/env bash
# Pictures of the sandbox's status page, after its pods have asked for this and that:
#
#   run.sh METAGATE FOLDER
#
# METAGATE is the program. Fails where a page does; see screenshots.mjs. Needs chromium, node, curl and python3.
set -euo pipefail

[ $# -eq 2 ] || { echo "usage: $0 METAGATE FOLDER" >&2; exit 2; }
metagate=$1 folder=$2
here=$(cd "$(dirname "$0")" && pwd)

free_address() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print("127.0.0.1:%d" % s.getsockname()[1])'; }

METAGATE_PODS__LISTEN=$(free_address)
METAGATE_ADMIN__LISTEN=$(free_address)
export METAGATE_PODS__LISTEN METAGATE_ADMIN__LISTEN
mkdir -p "$folder"
"$metagate" run --sandbox 2>"$folder/metagate.log" &
gateway=$!
trap 'kill "$gateway"' EXIT
curl --silent --output /dev/null --retry 50 --retry-connrefused --retry-delay 1 "http://$METAGATE_ADMIN__LISTEN/readyz"

ask() { curl --silent --output /dev/null --interface "$1" "http://$METAGATE_PODS__LISTEN$2"; }

roles=/latest/meta-data/iam/security-credentials/
for pod in 127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.5 127.0.0.6 127.0.0.99; do
    ask "$pod" "$roles"
    ask "$pod" "${roles}payments-checkout"
    ask "$pod" /latest/meta-data/placement/region
done
# Two looks at the traffic, which is looked at every five seconds.
sleep 11
node "$here/screenshots.mjs" "http://$METAGATE_ADMIN__LISTEN" "$folder"
