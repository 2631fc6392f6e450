"""An emulator in memory, on a clock that tests move."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from airflow_ltx.emulator.core import EmulatorCore
from airflow_ltx.emulator.messages import EmulatedRequest, EmulatedResponse
from airflow_ltx.emulator.settings import Settings

KEY = "SG_0123456789abcdef"
BASE_URL = "http://emulator.test:1"
HISTORY = "/inference-request/request-history"
PROMPT = "A lighthouse at dusk, waves far below, slow aerial shot, warm light, film still"


@dataclass
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class World:
    """A core, its clock, and a caller with one key."""

    core: EmulatorCore
    clock: Clock
    key: str = KEY
    ids: list[str] = field(default_factory=list)

    def call(self, method: str, path: str, body: Any = None, key: str | None = None, **headers: str):
        sent = {"x-api-key": self.key if key is None else key}
        if body is not None:
            sent["content-type"] = "application/json"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        target = urlsplit(path)
        sent = {name: value for name, value in sent.items() if value}
        query = dict(parse_qsl(target.query, keep_blank_values=True))
        return self.core.handle(EmulatedRequest(method, target.path, sent, content, BASE_URL, query))

    def post(self, body: Any = None, slug: str = "ltx-video", **more: Any) -> EmulatedResponse:
        return self.call("POST", f"/v2/{slug}", {"prompt": PROMPT} if body is None else body, **more)

    def submit(self, slug: str = "ltx-video", **parameters: Any) -> str:
        answer = self.post({"prompt": PROMPT, **parameters}, slug)
        assert answer.status == 200, answer.body
        request_id = answer.json()["request_id"]
        self.ids.append(request_id)
        return request_id

    def status(self, request_id: str, **more: Any) -> EmulatedResponse:
        return self.call("GET", f"/v2/requests/{request_id}/status", **more)

    def result(self, request_id: str, **more: Any) -> EmulatedResponse:
        return self.call("GET", f"/v2/requests/{request_id}", **more)

    def history(self, key: str | None = None, **query: Any) -> EmulatedResponse:
        return self.call("GET", f"{HISTORY}?{urlencode(query)}", key=key)

    def rows(self, key: str | None = None, **query: Any) -> list[dict[str, Any]]:
        answer = self.history(key, **query)
        assert answer.status == 200, answer.body
        return answer.json()["data"]

    def every_row(self, key: str | None = None, **query: Any) -> list[dict[str, Any]]:
        """All pages, one after the other."""
        rows: list[dict[str, Any]] = []
        for page in range(1, 1000):
            new = self.rows(key, page=page, **query)
            if not new:
                return rows
            rows += new
        raise AssertionError("the history has no end")

    def entry(self, request_id: str, key: str | None = None) -> EmulatedResponse:
        return self.call("GET", f"{HISTORY}/{request_id}", key=key)

    def upload(self, *data_urls: Any, **more: Any) -> EmulatedResponse:
        return self.call("POST", "/upload-asset", {"data_urls": list(data_urls)}, **more)

    def download(self, request_id: str, **more: Any) -> EmulatedResponse:
        url = self.result(request_id).json()["video"]["url"]
        return self.call("GET", url.removeprefix(BASE_URL), key="", **more)


def world(**settings: Any) -> World:
    clock = Clock()
    return World(
        EmulatorCore(Settings(**{"queue_seconds": 10.0, "inference_seconds": 50.0, **settings}), clock), clock
    )
