#!/usr/bin/env bash
# `make node`: installs the node's programs, builds the images of BINARY, and starts a node with both in FOLDER, until Ctrl-C:
#
#   run.sh BINARY FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$1 folder=$2

programs=$("$here/install.sh") || case $? in 3) exit 0 ;; *) exit 1 ;; esac
mkdir -p "$folder"
# Made anew only when what they are made of is newer.
stale() { [ ! -e "$1" ] || [ -n "$(find "${@:2}" -newer "$1" -print -quit)" ]; }
if stale "$folder/node.tar" "$here/Dockerfile" "$here/images.sh" "$here/ask.sh" "$here/../images/debian.sh" "$programs/built-from"; then
    echo "==> images of the node's own pods"
    "$here/images.sh" "$programs" "$folder/node.tar"
fi
if stale "$folder/metagate.tar" "$here/../images" "$binary"; then
    "$here/../images/build.sh" "$binary" "$folder/metagate.tar"
fi
exec "$here/node.sh" --image "$folder/node.tar" --image "$folder/metagate.tar" \
    --forward api=6443:10.99.0.1:443 --forward status=9620:127.0.0.1:9620 "$folder/state" "$here/try.sh"
