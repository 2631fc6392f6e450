"""A deferrable operator as it is written by hand: it submits, has a trigger poll, and returns the URL.

No record is kept, so a retry buys again. Copied to where every process of Airflow finds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
from airflow.sdk import BaseHook, BaseOperator, Context
from airflow.triggers.base import BaseTrigger, TriggerEvent


def _service() -> tuple[str, dict[str, str]]:
    connection = BaseHook.get_connection("segmind_default")
    return str(connection.host), {"x-api-key": str(connection.password)}


class Poll(BaseTrigger):
    """Looks at a request every few seconds, until it is over."""

    def __init__(self, url: str, headers: dict[str, str], request_id: str) -> None:
        super().__init__()
        self.url = url
        self.headers = headers
        self.request_id = request_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        arguments = {"url": self.url, "headers": self.headers, "request_id": self.request_id}
        return f"{Poll.__module__}.{Poll.__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        async with httpx.AsyncClient(headers=self.headers) as client:
            while True:
                answer = await client.get(f"{self.url}/v2/requests/{self.request_id}/status")
                status = answer.json()["status"]
                if status in ("COMPLETED", "FAILED"):
                    break
                await asyncio.sleep(5)
            result = (await client.get(f"{self.url}/v2/requests/{self.request_id}")).json()
        yield TriggerEvent({"status": status, "url": result["video"]["url"]})


class ByHand(BaseOperator):
    """Submits a prompt."""

    template_fields = ("prompt",)

    def __init__(self, *, prompt: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.prompt = prompt

    def execute(self, context: Context) -> None:
        url, headers = _service()
        answer = httpx.post(f"{url}/v2/ltx-video", headers=headers, json={"prompt": self.prompt})
        answer.raise_for_status()
        request_id = answer.json()["request_id"]
        context["ti"].xcom_push(key="request_id", value=request_id)
        self.defer(trigger=Poll(url, headers, request_id), method_name="execute_complete")

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        if event["status"] != "COMPLETED":
            raise RuntimeError(event)
        return event["url"]
