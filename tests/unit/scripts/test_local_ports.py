from __future__ import annotations

import asyncio
import sys

import pytest

from local_airflow.ports import ReservedPort


def test_ports_are_different_while_they_are_held():
    held = [ReservedPort() for _ in range(50)]
    assert len({port.number for port in held}) == 50
    for port in held:
        port.release()


@pytest.mark.skipif(
    not sys.platform.startswith("linux"),
    reason="a server may listen on a port that another socket holds on Linux alone",
)
async def test_a_server_listens_on_a_held_port_again_and_again():
    port = ReservedPort()
    for _ in range(2):
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port.number)
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        assert await reader.read() == b""
        writer.close()
        server.close()
        await server.wait_closed()
    port.release()
