"""STS with the faults of the real one, in front of moto: a role's name says what becomes of who asks for it.

`…throttled…` is asked for too often, `…refused…` trusts nobody, `…brief…` is given for a minute, so that a renewal is soon.
"""

import datetime
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LIFE = datetime.timedelta(seconds=64)


def error(code, message):
    return f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        role = urllib.parse.parse_qs(body.decode()).get("RoleArn", [""])[0]
        if "throttled" in role:
            self.answer(400, error("Throttling", "Rate exceeded"))
        elif "refused" in role:
            self.answer(403, error("AccessDenied", "User is not authorized to perform: sts:AssumeRole"))
        else:
            status, text = self.moto(body)
            if "brief" in role:
                expires = datetime.datetime.now(datetime.timezone.utc) + LIFE
                text = re.sub("(?<=<Expiration>)[^<]*", expires.strftime("%Y-%m-%dT%H:%M:%SZ"), text)
            self.answer(status, text)

    def moto(self, body):
        headers = {name: self.headers[name] for name in ("Authorization", "Content-Type", "X-Amz-Date") if name in self.headers}
        try:
            with urllib.request.urlopen(urllib.request.Request(sys.argv[2], body, headers)) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


address, port = sys.argv[1].rsplit(":", 1)
server = ThreadingHTTPServer((address, int(port)), Handler)
print("sts listens", file=sys.stderr, flush=True)
server.serve_forever()
