"""STS on the node: hands each request to moto, and writes its parameters as a line of JSON, for the test to read.

    python sts.py ADDRESS:PORT http://MOTO FILE
"""

import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LISTEN, MOTO, FILE = sys.argv[1:]
PASSED_ON = ("Authorization", "Content-Type", "X-Amz-Date", "X-Amz-Security-Token")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open(FILE, "a") as file:
            file.write(json.dumps(dict(urllib.parse.parse_qsl(body.decode()))) + "\n")
        headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
        try:
            answer = urllib.request.urlopen(urllib.request.Request(MOTO, body, headers))
        except urllib.error.HTTPError as refused:
            answer = refused
        with answer:
            text = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


address, port = LISTEN.rsplit(":", 1)
ThreadingHTTPServer((address, int(port)), Handler).serve_forever()
