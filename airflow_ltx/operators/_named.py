"""An id that a broken answer to a submit has named: the service tells for free whether there is such a
request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_ltx import metrics
from airflow_ltx.exceptions import RequestNotFound, SegmindError, SubmitOutcomeUnknown
from airflow_ltx.segmind.clock import now
from airflow_ltx.segmind.models import SubmittedRequest

if TYPE_CHECKING:
    from airflow_ltx.operators._attempt import Attempt

_LOOKED_FOR = 10.0
"""Seconds within which a look is repeated through transient errors."""


def is_known(attempt: Attempt, request_id: str) -> bool:
    """Whether the service knows the request.

    :raises SegmindError: That could not be asked, which says nothing about the request.
    """
    client = attempt.hook.get_conn()
    try:
        client.status(request_id, deadline=now() + _LOOKED_FOR)
    except RequestNotFound:
        return False
    return True


def bought_after_all(
    attempt: Attempt, error: SubmitOutcomeUnknown, model: str, at: float
) -> SubmittedRequest | None:
    """The request that a broken answer names, if the service knows it; else the id is kept on record.

    :param at: Epoch seconds just before the submit.
    """
    request_id = error.request_id
    if request_id is None or attempt.record.knows(request_id):
        return None
    attempt.names(request_id)
    try:
        known = is_known(attempt, request_id)
    except SegmindError as obstacle:
        attempt.log.warning("Whether there is a request %s: %s", request_id, obstacle.message)
        return None
    if not known:
        return None
    metrics.purchased(model)
    attempt.log.warning(
        "The answer to the submit of %s was broken (%s). It names request %s, and the service knows it: it "
        "is bought. %s",
        model,
        error.said or error.message,
        request_id,
        attempt.from_now_on(request_id),
    )
    return SubmittedRequest(request_id, model, at)
