"""One blocking client in several threads: no call may lose its answer to another one's connection."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpcore

from airflow_ltx.segmind import ClientConfig, SegmindClient
from segmind_service import KEY


def test_a_connection_that_has_answered_is_nobody_elses(segmind, monkeypatch):
    """While the pool looks for a connection, one of another thread may come to the end of its answer. It
    would be given away, and then closed for being idle. The look is stretched, as on a busy machine."""
    usual = httpcore._sync.connection.HTTPConnection.can_handle_request

    def slowly(connection, origin) -> bool:
        time.sleep(0.002)
        return usual(connection, origin)

    monkeypatch.setattr(httpcore._sync.connection.HTTPConnection, "can_handle_request", slowly)
    segmind.configure(credits=1000.0)
    config = ClientConfig(api_key=KEY, base_url=segmind.base_url)
    with SegmindClient(config) as client, ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(client.submit, "wan-2.2-t2v-fast", {"prompt": "x"}) for _ in range(80)]
        ids = {call.result().request_id for call in calls}
    assert len(ids) == len(segmind.ledger.submissions) == 80
