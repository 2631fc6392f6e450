"""The endpoints about past requests. Only the account's own are told, however old they are.

Of a list's envelope the service's own texts name only ``data``; the counts beside it are this emulator's.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from math import ceil
from typing import Any

from airflow_ltx.emulator.history import Question, Row, cost, page_of, status_word
from airflow_ltx.emulator.jobs import Job
from airflow_ltx.emulator.messages import EmulatedResponse, error_response, json_response
from airflow_ltx.emulator.moments import written
from airflow_ltx.emulator.pricing import to_credits
from airflow_ltx.emulator.service import Call, Service
from airflow_ltx.emulator.settings import Settings
from airflow_ltx.emulator.workspaces import fingerprint

RowWriter = Callable[[Row, Call, Settings], dict[str, Any]]


def history(service: Service, call: Call) -> EmulatedResponse:
    """Answer with a page of requests of every state, a row per output."""
    return _listing(service, call, lambda: Question.of_history(call.request.query, call.now), history_row)


def history_entry(service: Service, call: Call) -> EmulatedResponse:
    """Answer with one request of any age; of several outputs, the first."""
    service.ledger.count_lookup(call.endpoint)
    job = service.own_job(call)
    if job is None or call.now < job.submitted_at + service.settings.history_lag_seconds:
        return error_response(404, f"Request {call.name} not found")
    row = history_row(Row(job), call, service.settings)
    return dataclasses.replace(json_response(200, row), request_id=job.request_id)


def generations(service: Service, call: Call) -> EmulatedResponse:
    """Answer with a page of the outputs of completed requests."""
    return _listing(service, call, lambda: Question.of_generations(call.request.query), generation_row)


def recent(service: Service, call: Call) -> EmulatedResponse:
    """Answer with the latest outputs of one model."""
    return _listing(service, call, lambda: Question.of_recent(call.request.query), generation_row)


def account(_: Service, call: Call) -> EmulatedResponse:
    """Answer with who the key belongs to; each key is a user of its own."""
    name = fingerprint(call.key)
    return json_response(200, {"user_id": user_id(name), "email": user_email(name)})


def history_row(row: Row, call: Call, settings: Settings) -> dict[str, Any]:
    """Return one row of the request history. Amounts in credits (USD), ``latency_ms`` from submit to end."""
    job = row.job
    outcome = _outcome(row, call, settings)
    known = call.now >= job.submitted_at + settings.history_lag_seconds + settings.record_lag_seconds
    return {
        "request_id": job.request_id,
        "model_name": job.model,
        "model_status": status_word(job, call.now),
        "request_body": job.parameters if known else None,
        **outcome,
        "model_created": _time(job.submitted_at, settings),
        **_times(job, call.now, settings),
    }


def generation_row(row: Row, call: Call, settings: Settings) -> dict[str, Any]:
    """Return one row of the list of outputs: the URL at once, what comes from the request's record later."""
    job = row.job
    landed = call.now >= job.finished_at + settings.record_lag_seconds
    record = {
        "status": status_word(job, call.now),
        "credits_deduction": to_credits(job.price),
        "latency_ms": _latency(job),
        "prompt": job.parameters.get("prompt"),
        "parameters": job.parameters,
    }
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, job.videos[row.index].file_name)),
        "request_id": job.request_id,
        "model_name": job.model,
        "generation_url": _url(row, call),
        "user_id": user_id(job.workspace),
        "user_email": user_email(job.workspace),
        **(record if landed else dict.fromkeys(record)),
        **_times(job, call.now, settings),
    }


def user_id(workspace: str) -> str:
    """Return the id of the user who owns ``workspace``."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, workspace))


def user_email(workspace: str) -> str:
    """Return the address of the user who owns ``workspace``; no mail can be sent to it."""
    return f"{workspace}@emulator.invalid"


def _listing(
    service: Service, call: Call, read: Callable[[], Question], write: RowWriter
) -> EmulatedResponse:
    service.ledger.count_lookup(call.endpoint)
    try:
        question = read()
    except ValueError as error:
        return error_response(400, str(error))
    workspace = fingerprint(call.key)
    if refusal := _foreign_user(call, workspace):
        return refusal
    rows = service.history.rows(workspace, question, call.now, service.settings.history_lag_seconds)
    body = {
        "data": [write(row, call, service.settings) for row in page_of(rows, question)],
        "page": question.page,
        "per_page": question.per_page,
        "total": len(rows),
        "total_pages": ceil(len(rows) / question.per_page),
    }
    return json_response(200, body)


def _foreign_user(call: Call, workspace: str) -> EmulatedResponse | None:
    query = call.request.query
    asked, own = query.get("user_id"), user_id(workspace)
    if "user_email" in query:
        if asked is not None:
            return error_response(400, "Pass user_id or user_email, not both")
        asked, own = query["user_email"], user_email(workspace)
    if asked in (None, own):
        return None
    return error_response(403, "You can only see your own requests")


def _outcome(row: Row, call: Call, settings: Settings) -> dict[str, Any]:
    job = row.job
    seen = max(job.finished_at, job.submitted_at + settings.history_lag_seconds)
    if call.now < seen + settings.record_lag_seconds:
        return dict.fromkeys(("credits_deduction", "generation_url", "latency_ms", "error"))
    deducted = cost(job, call.now)
    completed = job.error is None
    return {
        "credits_deduction": None if deducted is None else to_credits(deducted),
        "generation_url": _url(row, call) if completed else None,
        "latency_ms": _latency(job),
        "error": job.error,
    }


def _url(row: Row, call: Call) -> str:
    return f"{call.request.base_url}/files/{row.job.videos[row.index].file_name}"


def _latency(job: Job) -> int:
    return round((job.queue_seconds + job.inference_seconds) * 1000)


def _times(job: Job, now: float, settings: Settings) -> dict[str, str]:
    changed = max(at for at in (job.submitted_at, job.started_at, job.finished_at) if at <= now)
    return {"created_at": _time(job.submitted_at, settings), "updated_at": _time(changed, settings)}


def _time(moment: float, settings: Settings) -> str:
    return written(moment, settings.history_times, timespec="microseconds")
