#!/usr/bin/env bash
# What `make node` runs on the node: installs Metagate and two sample pods, says how to look at it from another terminal, and
# waits for Ctrl-C.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

say() { printf '==> %s\n' "$*"; }
trap 'echo; say "the node ends"; exit 0' INT

say 'Metagate: helm install'
kubectl create namespace metagate >/dev/null
kubectl label namespace metagate pod-security.kubernetes.io/enforce=privileged >/dev/null
helm install metagate "$here/../chart" --namespace metagate --values "$here/values.yaml" --hide-notes >"$NODE_STATE/logs/helm.log" 2>&1 ||
    { cat "$NODE_STATE/logs/helm.log" >&2; exit 1; }
kubectl --namespace metagate rollout status daemonset/metagate --timeout=300s || {
    kubectl --namespace metagate describe pods >&2
    kubectl --namespace metagate logs --selector app.kubernetes.io/name=metagate --all-containers --tail=20 >&2
    exit 1
}

say 'two sample pods'
kubectl apply --filename "$here/sample.yaml" >/dev/null
answer() {
    local since=$SECONDS
    until kubectl --namespace "$1" logs "$2" 2>/dev/null | grep .; do
        [ $((SECONDS - since)) -lt 300 ] || { kubectl --namespace "$1" describe pod "$2" >&2; exit 1; }
        sleep 0.5
    done | sed "s|^|    $1/$2: |"
}
answer payments checkout-0
answer guests visitor-0

cat <<END

The node runs until Ctrl-C. In another terminal:

    export KUBECONFIG=$NODE_STATE/kubeconfig PATH=$(dirname "$(command -v kubectl)"):\$PATH

    kubectl get pods --all-namespaces
    kubectl --namespace payments logs checkout-0
    kubectl --namespace guests describe pod visitor-0            # the Event with the reason
    kubectl --namespace metagate exec daemonset/metagate -- metagate explain --pod guests/visitor-0
    kubectl --namespace metagate exec daemonset/metagate -- metagate doctor
    kubectl --namespace payments exec checkout-0 -it -- sh       # has curl
    nsenter --all --target $(cat "$NODE_STATE/pid")                         # a shell on the node itself, as root

The status page is http://127.0.0.1:$(cat "$NODE_STATE/ports/status"). Logs of the node's programs are in
$NODE_STATE/logs.
END
# A sleep in the foreground would delay the trap.
sleep infinity &
wait
