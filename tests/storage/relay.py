"""Between a client and a storage server: notes what is asked, and answers or spoils what a test says."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from servers.store import Store

_OWN = ("transfer-encoding", "connection", "content-length", "host")


@dataclass
class Asked:
    """One request; ``body`` goes on as it is left. ``headers`` have lower-case names."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query, keep_blank_values=True)


@dataclass(frozen=True)
class Told:
    """An answer in the server's place."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Rule = Callable[[Asked], Told | None]


def s3_error(status: int, code: str) -> Told:
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"
    return Told(status, text.encode(), {"content-type": "application/xml"})


class Relay:
    """``rule`` sees each request first; what it answers nobody else does."""

    def __init__(self, port: int) -> None:
        self.asked: list[Asked] = []
        self.rule: Rule = lambda asked: None
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def _body(self) -> bytes:
                if "chunked" not in (self.headers.get("transfer-encoding") or ""):
                    return self.rfile.read(int(self.headers.get("content-length") or 0))
                body = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def _pass(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, self._body())
                relay.asked.append(asked)
                told = relay.rule(asked) or relay._fetch(port, asked)
                self.send_response(told.status)
                for name, value in told.headers.items():
                    self.send_header(name, value)
                if self.command != "HEAD" or "content-length" not in told.headers:
                    self.send_header("content-length", str(len(told.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(told.body)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = _pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _fetch(self, port: int, asked: Asked) -> Told:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {name: value for name, value in asked.headers.items() if name not in _OWN}
        # Servers sign what they were called; S3 wants the name that was signed.
        headers["host"] = asked.headers.get("host", "")
        connection.request(asked.method, asked.path, asked.body, headers)
        answer = connection.getresponse()
        body = answer.read()
        kept = {name.lower(): value for name, value in answer.getheaders()}
        length = kept.get("content-length")
        told = {name: value for name, value in kept.items() if name not in _OWN}
        if asked.method == "HEAD" and length is not None:
            told["content-length"] = length
        if "location" in told:
            told["location"] = told["location"].replace(f":{port}/", f":{self.port}/")
        connection.close()
        return Told(answer.status, body, told)


@contextmanager
def relayed(store: Store) -> Iterator[tuple[Relay, str]]:
    """A relay before a store's server, and the connection by which a client comes through it."""
    relay = Relay(store.server.port.number)
    before, after = store.server.url, relay.url
    try:
        yield relay, json.dumps(json.loads(store.connection)).replace(before, after)
    finally:
        relay.close()
