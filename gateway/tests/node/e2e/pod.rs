//! A pod: its object in the cluster, and its network on the node.

use std::{path::Path, process::Command};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    api::Api,
    namespace::Namespace,
    node::{self, IMDS},
    process::Ended,
    programs::Programs,
};

/// The node that every pod is on.
pub(crate) const NODE: &str = "node-a";
const ROLE: &str = "iam.amazonaws.com/role";
/// The host's side of a pod's interface; the pod's neighbour entries name it.
const HOST_MAC: &str = "ee:ee:ee:ee:ee:ee";

/// The content of its object.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) namespace: &'static str,
    pub(crate) name: &'static str,
    pub(crate) addresses: Vec<String>,
    service_account: &'static str,
    annotations: Value,
    host_network: bool,
}

impl Pod {
    pub(crate) fn new(namespace: &'static str, name: &'static str, address: &str) -> Self {
        Self {
            namespace,
            name,
            addresses: vec![address.to_owned()],
            service_account: "default",
            annotations: json!({}),
            host_network: false,
        }
    }

    pub(crate) fn with_role(mut self, role: &str) -> Self {
        self.annotations[ROLE] = role.into();
        self
    }

    pub(crate) fn with_address(mut self, address: &str) -> Self {
        self.addresses.push(address.to_owned());
        self
    }

    pub(crate) fn with_service_account(self, service_account: &'static str) -> Self {
        Self { service_account, ..self }
    }

    pub(crate) fn on_host_network(self) -> Self {
        Self { host_network: true, ..self }
    }

    /// The name that STS gives the session of this pod in that role.
    pub(crate) fn session_of(&self, role: &str) -> String {
        format!("arn:aws:sts::123456789012:assumed-role/{role}/{}.{}", self.namespace, self.name)
    }

    /// Creates the object, as the scheduler and the kubelet leave it.
    pub(crate) async fn create(&self, api: &Api) -> Value {
        let object = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": self.name, "annotations": self.annotations },
            "spec": {
                "nodeName": NODE,
                "serviceAccountName": self.service_account,
                "hostNetwork": self.host_network,
                "containers": [{ "name": "app", "image": "app" }],
            },
        });
        api.post(&format!("/api/v1/namespaces/{}/pods", self.namespace), object).await;
        let ips: Vec<_> = self.addresses.iter().map(|ip| json!({ "ip": ip })).collect();
        let status = json!({
            "phase": "Running",
            "hostIP": node::ADDRESS,
            "podIP": self.addresses[0],
            "podIPs": ips,
            "startTime": "2026-01-01T00:00:00Z",
        });
        api.patch(&format!("{}/status", self.path()), json!({ "status": status })).await
    }

    pub(crate) async fn set_role(&self, api: &Api, role: &str) {
        api.patch(&self.path(), json!({ "metadata": { "annotations": { ROLE: role } } })).await;
    }

    pub(crate) async fn delete(&self, api: &Api) {
        api.delete(&self.path()).await;
    }

    pub(crate) fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/pods/{}", self.namespace, self.name)
    }
}

/// The CNI, which decides how pods are connected. Neither gives the host's side of a pod's interface an address.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cni {
    /// `eni…`; the pod gets the gateway's hardware address.
    AmazonVpc,
    /// `cali…`; the host answers the pod's ARP for everything.
    Calico,
}

/// Inside a pod.
pub(crate) struct Inside<'a> {
    namespace: Namespace,
    node: &'a Namespace,
    interface: String,
    programs: &'a Programs,
}

impl<'a> Inside<'a> {
    pub(crate) fn new(pod: &Pod, cni: Cni, node: &'a Namespace, programs: &'a Programs) -> Self {
        let namespace = Namespace::new("pod");
        // An interface's name has at most 15 characters: the digits of the address, which no two pods have at once.
        let digits: String = pod.addresses[0].chars().filter(char::is_ascii_digit).collect();
        let interface = match cni {
            Cni::AmazonVpc => format!("eni{digits}"),
            Cni::Calico => format!("cali{digits}"),
        };
        let name = &namespace.name;
        node.ip(&format!(
            "link add {interface} address {HOST_MAC} type veth peer name eth0 netns {name}
             link set {interface} up"
        ));
        if matches!(cni, Cni::Calico) {
            node.set(&[
                (&format!("ipv4/conf/{interface}/proxy_arp"), "1"),
                // Otherwise it waits for a random time below 800 ms.
                (&format!("ipv4/neigh/{interface}/proxy_delay"), "0"),
            ]);
        }
        let inside = Self { namespace, node, interface, programs };
        inside.namespace.ip("link set eth0 up");
        for address in &pod.addresses {
            inside.connect(address, cni);
        }
        inside
    }

    fn connect(&self, address: &str, cni: Cni) {
        let interface = &self.interface;
        let (length, next_hop) = if address.contains(':') { (128, "fe80::1") } else { (32, "169.254.1.1") };
        self.node.ip(&format!("route add {address}/{length} dev {interface}"));
        self.namespace.ip(&format!(
            "addr add {address}/{length} dev eth0{}
             route add {next_hop}/{length} dev eth0",
            if length == 128 { " nodad" } else { "" }
        ));
        if length == 128 || matches!(cni, Cni::AmazonVpc) {
            self.namespace.ip(&format!("neigh add {next_hop} lladdr {HOST_MAC} dev eth0 nud permanent"));
        }
        let all = if length == 128 { "::/0" } else { "0.0.0.0/0" };
        self.namespace.ip(&format!("route add {all} via {next_hop} dev eth0"));
    }

    /// Who this pod is to STS, asked by the AWS CLI without an endpoint for the metadata service. None if the CLI says
    /// that it found no credentials.
    pub(crate) async fn who_am_i(&self) -> Option<String> {
        caller_identity(self.aws(|_| {}).await)
    }

    /// The same by the metadata service's IPv6 address.
    pub(crate) async fn who_am_i_by_ipv6(&self) -> Option<String> {
        let mode = ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6");
        caller_identity(self.aws(|command| _ = command.env(mode.0, mode.1)).await)
    }

    async fn aws(&self, configure: impl FnOnce(&mut Command)) -> Ended {
        let environment = [
            ("AWS_ENDPOINT_URL_STS", node::STS),
            ("AWS_REGION", "us-east-1"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            // More than the default of 1 s and one attempt, so that a busy machine decides nothing.
            ("AWS_METADATA_SERVICE_TIMEOUT", "5"),
            ("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "3"),
            // Empty files keep the machine's own configuration out.
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ];
        self.namespace
            .run("aws", &self.programs.aws, |command| {
                command.args(["sts", "get-caller-identity", "--output", "json"]).envs(environment);
                configure(command);
            })
            .await
    }

    pub(crate) async fn session_token(&self) -> String {
        let headers = ["--request", "PUT", "--header", "X-aws-ec2-metadata-token-ttl-seconds: 21600"];
        let (status, token) = curl(&self.namespace, &format!("{IMDS}/latest/api/token"), &headers).await.unwrap();
        assert_eq!(status, 200, "{token}");
        token
    }

    /// By IMDSv1.
    pub(crate) async fn get_without_token(&self, path: &str) -> Option<(u16, String)> {
        curl(&self.namespace, &format!("{IMDS}{path}"), &[]).await
    }

    /// Opens this many connections at once, for a moment.
    pub(crate) async fn hold_connections(&self, count: usize) {
        let script = format!(
            "import socket, time\n\
             held = [socket.create_connection(('169.254.169.254', 80)) for _ in range({count})]\n\
             time.sleep(1)"
        );
        let ended = self.namespace.run("python", &self.programs.python, |command| _ = command.args(["-c", &script]));
        let ended = ended.await;
        assert!(ended.status.success(), "{ended:?}");
    }

    /// A GET of the metadata service: its status and text, or None if nobody answers.
    pub(crate) async fn get(&self, path: &str, token: &str) -> Option<(u16, String)> {
        let header = format!("X-aws-ec2-metadata-token: {token}");
        curl(&self.namespace, &format!("{IMDS}{path}"), &["--header", &header]).await
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        // The interface would go with the namespace, but later, and the next pod with this address needs the name and
        // the route.
        let _ = Command::new("ip").args(["-n", &self.node.name, "link", "del", &self.interface]).status();
    }
}

fn caller_identity(ended: Ended) -> Option<String> {
    #[derive(Deserialize)]
    struct CallerIdentity {
        #[serde(rename = "Arn")]
        arn: String,
    }
    if !ended.status.success() && ended.stderr.contains("Unable to locate credentials") {
        return None;
    }
    assert!(ended.status.success(), "{ended:?}");
    Some(serde_json::from_str::<CallerIdentity>(&ended.stdout).unwrap().arn)
}

/// None if nobody answers.
pub(crate) async fn curl(namespace: &Namespace, url: &str, arguments: &[&str]) -> Option<(u16, String)> {
    let ended = namespace
        .run("curl", Path::new("curl"), |command| {
            command.args(["--silent", "--show-error", "--max-time", "10", "--write-out", "\n%{http_code}"]);
            command.args(arguments).arg(url);
        })
        .await;
    // 7: not connected. 28: no answer in time. 52 and 56: the other side hung up.
    if matches!(ended.status.code(), Some(7 | 28 | 52 | 56)) {
        return None;
    }
    assert!(ended.status.success(), "{ended:?}");
    let (text, status) = ended.stdout.rsplit_once('\n').unwrap();
    Some((status.parse().unwrap(), text.to_owned()))
}
