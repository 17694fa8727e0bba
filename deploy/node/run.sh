#!/usr/bin/env bash
# `make node`: installs the node's programs, builds the images of BINARY, and starts a node with both in FOLDER, until Ctrl-C:
#
#   run.sh BINARY FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$1 folder=$2

"$here/archives.sh" "$binary" "$folder"
exec "$here/node.sh" --image "$folder/node.tar" --image "$folder/metagate.tar" \
    --forward api=6443:10.99.0.1:443 --forward status=9620:127.0.0.1:9620 "$folder/state" "$here/try.sh"
