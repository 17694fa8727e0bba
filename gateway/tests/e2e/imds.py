"""An instance's metadata service, with the node's role: what pods must never reach.

The credentials are STS's own, so that whoever uses them is known to STS as the node.
"""

import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3

ACCOUNT = "123456789012"
INSTANCE = "i-0123456789abcdef0"
REGION = "us-east-1"
ROLE = "node-role"
CREDENTIALS = "iam/security-credentials/"
TOKEN = "the-nodes-own-session"


def credentials(sts_endpoint):
    sts = boto3.client(
        "sts", region_name=REGION, endpoint_url=sts_endpoint, aws_access_key_id="ec2", aws_secret_access_key="ec2"
    )
    issued = sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{ROLE}", RoleSessionName=INSTANCE)["Credentials"]
    return json.dumps(
        {
            "Code": "Success",
            "LastUpdated": "2026-01-01T00:00:00Z",
            "Type": "AWS-HMAC",
            "AccessKeyId": issued["AccessKeyId"],
            "SecretAccessKey": issued["SecretAccessKey"],
            "Token": issued["SessionToken"],
            "Expiration": issued["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    )


def documents(sts_endpoint):
    profile = {"Code": "Success", "InstanceProfileArn": f"arn:aws:iam::{ACCOUNT}:instance-profile/{ROLE}"}
    identity = {"accountId": ACCOUNT, "instanceId": INSTANCE, "region": REGION}
    return {
        "/latest/meta-data/" + CREDENTIALS: ROLE,
        "/latest/meta-data/" + CREDENTIALS + ROLE: credentials(sts_endpoint),
        "/latest/meta-data/iam/info": json.dumps(profile),
        "/latest/meta-data/instance-id": INSTANCE,
        "/latest/meta-data/placement/availability-zone": REGION + "a",
        "/latest/meta-data/placement/region": REGION,
        "/latest/dynamic/instance-identity/document": json.dumps(identity),
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    documents = {}

    def do_PUT(self):
        if self.path == "/latest/api/token":
            self.answer(200, TOKEN, ttl=self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "21600"))
        else:
            self.answer(404, "")

    def do_GET(self):
        path = self.path + "/" if self.path.endswith("security-credentials") else self.path
        if self.headers.get("X-aws-ec2-metadata-token", TOKEN) != TOKEN:
            self.answer(401, "")
        elif path in self.documents:
            self.answer(200, self.documents[path])
        else:
            self.answer(404, "")

    def answer(self, status, text, ttl=None):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        if ttl:
            self.send_header("X-aws-ec2-metadata-token-ttl-seconds", ttl)
        self.end_headers()
        self.wfile.write(body)


class Server6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


def main():
    Handler.documents = documents(sys.argv[1])
    servers = [ThreadingHTTPServer(("169.254.169.254", 80), Handler), Server6(("fd00:ec2::254", 80), Handler)]
    print("imds listens", file=sys.stderr, flush=True)
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    servers[0].serve_forever()


main()
