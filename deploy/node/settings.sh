# shellcheck shell=bash disable=SC2034
# What install.sh and node.sh both must know. To be sourced by scripts of this folder.

# go.mod is the one place that names the default version.
DEFAULT=$(sed -n 's|^[[:space:]]*k8s.io/kubernetes v\([0-9.]*\).*|\1|p' "$(dirname "${BASH_SOURCE[0]}")/go.mod")
KUBERNETES=${KUBERNETES:-$DEFAULT}
PROGRAMS="${XDG_CACHE_HOME:-$HOME/.cache}/metagate/node/$KUBERNETES"
# Where Debian's package puts the network plugins.
PLUGINS=/usr/lib/cni
