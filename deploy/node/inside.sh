#!/usr/bin/env bash
# What node.sh runs in the new namespaces: the node's programs, then COMMAND. It is the first process there, so the kernel ends
# all others with it.
set -Eeuo pipefail
trap 'echo "$0: line $LINENO failed: $BASH_COMMAND" >&2' ERR
state=$1 programs=$2 plugins=$3 count=$4
shift 4
images=("${@:1:count}")
shift "$count"
cd "$state"
export PATH="$programs:$PATH"

# How long a part may take to come up. A loaded machine takes a tenth of it.
BOUND=300
ADDRESS4=10.99.0.1 ADDRESS6=fd00:99::1
SERVICES4=10.96.0.0/16 SERVICES6=fd00:96::/112
DNS=10.96.0.10
PODS4=10.244.0.0/24 PODS6=fd00:244::/64

say() { printf '==> %s\n' "$*"; }

# start NAME PROGRAM...: keeps the command as programs/NAME, so that a test can stop it by programs/NAME.pid and start it again.
start() {
    local name=$1
    shift
    {
        echo '#!/bin/sh'
        printf 'exec'
        printf ' %q' "$@"
        printf ' >>%q 2>&1\n' "$state/logs/$name.log"
    } >"programs/$name"
    chmod +x "programs/$name"
    # Out of the terminal's reach, so that Ctrl-C ends COMMAND alone.
    setsid "programs/$name" &
    echo $! >"programs/$name.pid"
}

# await NAME FACT COMMAND...: waits until COMMAND succeeds, which is FACT and depends on the program NAME.
await() {
    local name=$1 fact=$2 since=$SECONDS log="$state/logs/$1.log"
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ! kill -0 "$(cat "programs/$name.pid")" 2>/dev/null; then
            printf '\n%s ended, and %s will not come. The end of %s:\n' "$name" "$fact" "$log" >&2
            tail -n 20 "$log" >&2
            exit 1
        fi
        if [ $((SECONDS - since)) -ge "$BOUND" ]; then
            printf '\n%s did not come in %d s. The end of %s:\n' "$fact" "$BOUND" "$log" >&2
            tail -n 20 "$log" >&2
            exit 1
        fi
        sleep 0.2
    done
    say "$fact ($SECONDS s)"
}

# The node's own view of the file system: a node's usual paths, and nothing of it is written outside of STATE.
file_system() {
    mount --make-rprivate /
    mkdir programs
    mkdir -p containerd kubelet
    local folder
    for folder in etc var/lib var/log; do
        mkdir -p "overlay/$folder" "overlay/work/$folder"
        mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$state/overlay/$folder,workdir=$state/overlay/work/$folder" "/$folder"
    done
    mount -t tmpfs none /run
    mkdir -p /run/netns /var/lib/containerd /var/lib/kubelet /etc/cni/net.d /etc/kubernetes/manifests
    # containerd's own overlays cannot lie on an overlay.
    mount --bind containerd /var/lib/containerd
    mount --bind kubelet /var/lib/kubelet

    # The same control groups, from this namespace's group down, and the devices of this network.
    local kind options groups
    groups=$(awk '$3 == "cgroup" || $3 == "cgroup2" { print $2, $3, $4 }' /proc/mounts)
    mount -t sysfs sysfs /sys
    [ "$(echo "$groups" | wc -l)" -eq 1 ] || mount -t tmpfs none /sys/fs/cgroup
    echo "$groups" | while read -r folder kind options; do
        options=$(echo "$options" | tr , '\n' | sed -E '/^(rw|ro|relatime|nosuid|nodev|noexec|xattr|nsdelegate)$/d' | paste -sd,)
        case $options in *name=*) options=none,$options ;; esac
        mkdir -p "$folder"
        mount -t "$kind" ${options:+-o "$options"} none "$folder"
    done
    # With version 2 alone, a group has either processes or groups with controllers.
    if [ -e /sys/fs/cgroup/cgroup.subtree_control ]; then
        mkdir /sys/fs/cgroup/node
        echo $$ >/sys/fs/cgroup/node/cgroup.procs
        sed 's/[^ ]*/+&/g' /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
    fi
}

network() {
    hostname node-1
    ip link set lo up
    # One end of a veth pair has the node's address: not every kernel has dummy devices.
    ip link add eth0 type veth peer name wire
    ip link set wire up
    ip address add "$ADDRESS4/24" dev eth0
    ip link set eth0 up
    ip route add default dev eth0
    ip address add "$DNS/32" dev lo
    sysctl -qw net.ipv4.ip_forward=1
    printf '%s node-1\n127.0.0.1 localhost\n' "$ADDRESS4" >/etc/hosts
    ANY=0.0.0.0 ADDRESSES=$ADDRESS4 SERVICES=$SERVICES4 PODS=$PODS4
    RANGES="[{\"subnet\": \"$PODS4\"}]" ROUTES='{"dst": "0.0.0.0/0"}'
    # Both families, unless this kernel has one.
    [ -e /proc/sys/net/ipv6 ] || return 0
    sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0 net.ipv6.conf.all.forwarding=1
    ip address add "$ADDRESS6/64" dev eth0 nodad
    ip route add default dev eth0 metric 1024
    ip -6 route add default dev eth0
    printf '%s node-1\n::1 localhost\n' "$ADDRESS6" >>/etc/hosts
    ANY=:: ADDRESSES+=,$ADDRESS6 SERVICES+=,$SERVICES6 PODS+=,$PODS6
    RANGES+=", [{\"subnet\": \"$PODS6\"}]" ROUTES+=', {"dst": "::/0"}'
}

# kubeconfig TOKEN [SERVER]
kubeconfig() {
    cat <<C
apiVersion: v1
kind: Config
clusters:
  - name: node
    cluster:
      server: ${2:-https://$ADDRESS4}
      # A name of the API server's certificate, so that it is checked at every address.
      tls-server-name: kubernetes.default.svc
      certificate-authority-data: $(base64 -w 0 ca.crt)
users: [{name: user, user: {token: $1}}]
contexts: [{name: node, context: {cluster: node, user: user}}]
current-context: node
C
}

control_plane() {
    local key
    openssl genrsa -out sa.key 2048 2>/dev/null
    openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
    admin=$(openssl rand -hex 16) key=$(openssl rand -hex 16)
    printf '%s,admin,1,"system:masters"\n%s,system:node:node-1,2,"system:nodes"\n' "$admin" "$key" >tokens.csv
    start etcd etcd --data-dir "$state/etcd" --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379
    # An advertised address may not be on loopback.
    start kube-apiserver kube-apiserver --etcd-servers http://127.0.0.1:2379 --secure-port 443 --bind-address "$ANY" \
        --advertise-address "$ADDRESS4" --cert-dir "$state/certs" --service-account-key-file "$state/sa.pub" \
        --service-account-signing-key-file "$state/sa.key" --service-account-issuer https://kubernetes.default.svc \
        --token-auth-file "$state/tokens.csv" --authorization-mode Node,RBAC --kubelet-preferred-address-types InternalIP \
        --enable-admission-plugins NodeRestriction --service-cluster-ip-range "$SERVICES" --allow-privileged
    await kube-apiserver 'API server ready' ready
    # Its own certificate, then the authority that signed it, which is what pods and kubeconfigs trust.
    awk '/BEGIN CERTIFICATE/ { n++ } n == 2' certs/apiserver.crt >ca.crt
    kubeconfig "$admin" >admin.conf
    kubeconfig "$key" >kubelet.conf
    export KUBECONFIG=$state/admin.conf
    start kube-controller-manager kube-controller-manager --kubeconfig "$state/admin.conf" \
        --service-account-private-key-file "$state/sa.key" --use-service-account-credentials \
        --root-ca-file "$state/ca.crt" --allocate-node-cidrs=false --secure-port 0
    start kube-scheduler kube-scheduler --kubeconfig "$state/admin.conf" --secure-port 0
    # Until 1.30 this mode has to be switched on.
    local gates=
    case $(kube-proxy --version) in *' v1.29.'* | *' v1.30.'*) gates='{NFTablesProxyMode: true}' ;; esac
    # Without the zeros it tries to set the machine's own conntrack limits, and ends.
    cat >kube-proxy.yaml <<C
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
featureGates: ${gates:-{\}}
clusterCIDR: $PODS
hostnameOverride: node-1
clientConnection: {kubeconfig: $state/admin.conf}
conntrack: {maxPerCore: 0, min: 0}
metricsBindAddress: 127.0.0.1:10249
healthzBindAddress: 127.0.0.1:10256
C
    start kube-proxy kube-proxy --config "$state/kube-proxy.yaml"
}

# shellcheck disable=SC2329 # await calls it.
ready() { curl -sk --max-time 5 -H "Authorization: Bearer $admin" "https://$ADDRESS4/readyz" | grep -q '^ok'; }

containers() {
    cat >/etc/cni/net.d/10-bridge.conflist <<C
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true,
   "ipam": {"type": "host-local", "ranges": [$RANGES], "routes": [$ROUTES]}}]}
C
    # Without CAP_SYS_RESOURCE no process may lower its OOM score, and no sandbox would start ("can't get final child's PID from
    # pipe").
    local restrict=false
    setpriv --dump | grep -q 'Capability bounding set.*sys_resource' || restrict=true
    mkdir -p /etc/containerd
    cat >/etc/containerd/config.toml <<C
version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "localhost/pause:1"
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = $restrict
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["$plugins"]
C
    start containerd containerd
    await containerd 'containerd ready' ctr version
    local archive
    for archive in "${images[@]}"; do
        ctr --namespace k8s.io images import "$archive" >>logs/images.log 2>&1 || { tail -n 5 logs/images.log >&2; exit 1; }
    done
}

node() {
    cat >kubelet.yaml <<C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
# This machine may have version 1 of control groups, or both.
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
staticPodPath: /etc/kubernetes/manifests
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
# Nothing listens there, and the node says so at once. Without an address, each pod has a warning among its Events.
clusterDNS: [$DNS]
# The machine's disk is not the node's to watch.
evictionHard: {memory.available: 1Mi, nodefs.available: 0%, imagefs.available: 0%}
localStorageCapacityIsolation: false
C
    local flags=()
    read -ra flags <<<"${KUBELET_FLAGS:-}"
    start kubelet kubelet --config "$state/kubelet.yaml" --kubeconfig "$state/kubelet.conf" --hostname-override node-1 \
        --node-ip "$ADDRESSES" "${flags[@]}"
    await kubelet 'node Ready' kubectl wait --for=condition=Ready node/node-1 --timeout=1s
    await kube-controller-manager 'default service account' kubectl get serviceaccount default
    await kube-proxy 'services routed' curl -sk --max-time 2 https://10.96.0.1/readyz
}

# The first process of a namespace ignores what it does not handle.
trap 'exit 130' INT
file_system
network
touch entered
control_plane
containers
node
until [ -e forwarded ]; do sleep 0.05; done
# shellcheck disable=SC2094 # Another file of the same name as the function.
[ ! -e ports/api ] || kubeconfig "$admin" "https://127.0.0.1:$(cat ports/api)" >kubeconfig
status=0
trap : INT
NODE_STATE=$state "$@" || status=$?
exit "$status"
