"""The wait on a worker, with the trigger's looks, decisions and event."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow_ltx.segmind.narrate import Narrator
from airflow_ltx.segmind.polling import PollState
from airflow_ltx.segmind.retry import ONCE
from airflow_ltx.segmind.waiting import wait_for_end
from airflow_ltx.triggers.event import RequestEvent

if TYPE_CHECKING:
    from airflow_ltx.hooks.segmind import SegmindHook
    from airflow_ltx.segmind.models import SubmittedRequest


def wait_on_worker(
    hook: SegmindHook, request: SubmittedRequest, *, deadline: float, interval: float | None, log: Any
) -> RequestEvent:
    """Look until the request ends or ``deadline`` (epoch seconds) has passed; always once."""
    client = hook.get_conn()
    end = wait_for_end(
        lambda: client.status(request.request_id, retry=ONCE),
        PollState(
            started_at=time.time(),
            deadline=deadline,
            submitted_at=request.submitted_at,
            interval=interval,
        ),
        on_seen=Narrator(log, request.request_id),
    )
    return RequestEvent.of(end, request.request_id, request.model, request.submitted_at, now=time.time())
