from __future__ import annotations

import asyncio

import pytest

from local_airflow.in_turn import WritesInTurn


class Server:
    """Notes who is inside; stays until it is let go, or raises."""

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.go = asyncio.Event()

    async def __call__(self, scope, receive, send) -> None:
        self.inside.append(scope["path"])
        if scope["path"] == "/broken":
            raise RuntimeError("broken")
        await self.go.wait()
        self.inside.remove(scope["path"])


@pytest.fixture
def server() -> Server:
    return Server()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def call(app, method: str, path: str) -> asyncio.Task[None]:
    return asyncio.create_task(app({"type": "http", "method": method, "path": path}, None, None))


async def test_a_write_waits_for_the_write_before_it_and_a_read_for_nobody(server):
    app = WritesInTurn(server)
    calls = [call(app, method, path) for method, path in (("POST", "/1"), ("PATCH", "/2"), ("GET", "/3"))]
    await settle()
    assert server.inside == ["/1", "/3"]
    server.go.set()
    await asyncio.gather(*calls)
    assert server.inside == []


async def test_a_write_that_breaks_lets_the_next_one_in(server):
    app = WritesInTurn(server)
    broken, next_one = call(app, "POST", "/broken"), call(app, "POST", "/1")
    with pytest.raises(RuntimeError, match="broken"):
        await broken
    await settle()
    assert server.inside == ["/broken", "/1"]
    server.go.set()
    await next_one


async def test_what_is_no_request_passes(server):
    app = WritesInTurn(server)
    server.go.set()
    await app({"type": "lifespan", "path": ""}, None, None)
