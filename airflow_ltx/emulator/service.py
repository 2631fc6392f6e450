"""What the endpoints do once a request has passed the gate: jobs, credits, results and files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from airflow_ltx.emulator import results, validation
from airflow_ltx.emulator.assets import AssetStore
from airflow_ltx.emulator.catalogue import Model
from airflow_ltx.emulator.history import History
from airflow_ltx.emulator.jobs import Draw, Job, between
from airflow_ltx.emulator.ledger import Ledger, Submission
from airflow_ltx.emulator.messages import (
    JSON_TYPE,
    EmulatedRequest,
    EmulatedResponse,
    error_response,
    html_response,
    json_response,
)
from airflow_ltx.emulator.plans import video_plans
from airflow_ltx.emulator.pricing import price_micros, to_credits, to_micros
from airflow_ltx.emulator.resolution import VideoPlan
from airflow_ltx.emulator.settings import Settings, bounds
from airflow_ltx.emulator.workspaces import Workspace, fingerprint

# A body that is found wrong fails within milliseconds of leaving the queue.
_REJECTION_SECONDS = 0.003
_SYNC_TIMEOUT = "Internal Polling Error"


@dataclass(frozen=True, slots=True)
class Call:
    """One request and what the gate knows of it; ``name`` is the variable part of the path."""

    request: EmulatedRequest
    endpoint: str
    key: str = field(repr=False)
    name: str
    now: float

    @property
    def carries_credential(self) -> bool:
        """Whether the caller sent a key along; the hosts of files have no business with one."""
        return not {"x-api-key", "authorization"}.isdisjoint(self.request.headers)


class Service:
    """The state behind the endpoints. Every method named in the route table takes a :class:`Call`.

    :ivar history: Every accepted request, for the endpoints about past ones.
    :ivar assets: Uploaded files.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self.settings = settings
        self.ledger = Ledger(clock)
        self.history = History()
        self.assets = AssetStore(settings.seed)
        self._models = {model.slug: model for model in settings.models}
        self._workspaces: dict[str, Workspace] = {}
        self._jobs: dict[str, Job] = {}
        self._files: dict[str, tuple[Job, VideoPlan]] = {}
        self._sizes: dict[str, int] = {}

    def submit(self, call: Call) -> EmulatedResponse:
        """Queue a request; the answer names it and says nothing about whether the body is right."""
        job = self._accept(call)
        if isinstance(job, EmulatedResponse):
            return job
        body = results.submitted(job, call.request.base_url)
        return json_response(200, body, request_id=job.request_id)

    def sync(self, call: Call) -> EmulatedResponse:
        """Run a request and answer with the file, when it is ready."""
        job = self._accept(call)
        if isinstance(job, EmulatedResponse):
            return job
        headers = {"x-request-id": job.request_id}
        if job.error is not None:
            status = 500 if job.error == _SYNC_TIMEOUT else 400
            answer = error_response(status, job.error, headers)
            return dataclasses.replace(answer, ready_at=job.finished_at, request_id=job.request_id)
        headers |= {
            "content-type": "video/mp4",
            "x-cost": str(to_credits(job.price)),
            "x-remaining-credits": str(to_credits(job.remaining)),
            "x-generation-time": str(round(job.inference_seconds, 6)),
            "x-seed-value": str(job.seed),
        }
        return EmulatedResponse(
            200,
            headers,
            file=job.video,
            ready_at=job.finished_at,
            render=job.video,
            request_id=job.request_id,
        )

    def status(self, call: Call) -> EmulatedResponse:
        """Answer with the state of a request, without its output."""
        job = self._find(call)
        if isinstance(job, EmulatedResponse):
            return job
        self.ledger.of(job.request_id).polled(call.now)
        status = job.status(call.now)
        if status != "COMPLETED":
            return self._unfinished(job, status, call)
        body = results.completed(job, self._available(call))
        render = job.video if self.settings.prerender else None
        return json_response(200, body, render=render, request_id=job.request_id)

    def result(self, call: Call) -> EmulatedResponse:
        """Answer with the whole result; while it runs, with its state."""
        job = self._find(call)
        if isinstance(job, EmulatedResponse):
            return job
        self.ledger.of(job.request_id).results += 1
        status = job.status(call.now)
        if status != "COMPLETED":
            return self._unfinished(job, status, call)
        body = results.result(
            job,
            self._available(call),
            call.request.base_url,
            self.settings.result_shape,
            self._sizes,
        )
        render = job.video if self.settings.prerender else None
        return json_response(200, body, render=render, request_id=job.request_id)

    def credits(self, call: Call) -> EmulatedResponse:
        """Answer with the workspace's balance."""
        return json_response(200, {"credits": to_credits(self._available(call)), "free-credits": 0.0})

    def download(self, call: Call) -> EmulatedResponse:
        """Answer with a finished file, to anybody who knows its name."""
        job, video = self._files.get(call.name, (None, None))
        if (
            job is None
            or job.status(call.now) != "COMPLETED"
            or call.now >= job.finished_at + self.settings.file_ttl
        ):
            return html_response(404, "404 Not Found")
        entry = self.ledger.of(job.request_id)
        if call.request.method == "GET":
            entry.downloads += 1
            entry.downloads_with_key += call.carries_credential
        return EmulatedResponse(200, {"content-type": "video/mp4"}, file=video, request_id=job.request_id)

    def refuse(self, call: Call, answer: EmulatedResponse) -> EmulatedResponse:
        """Write a refused submit into the ledger and return ``answer``."""
        body = decode(call.request.body)
        self.ledger.add(
            Submission(
                time=call.now,
                endpoint=call.endpoint,
                key=fingerprint(call.key) if call.key else "",
                model=call.name,
                body=body if isinstance(body, dict) else None,
                http_status=answer.status,
                refusal=str(answer.json()["error"]),
            )
        )
        return answer

    def fail(self, request_id: str, error: str) -> None:
        """Make a request that was just accepted end FAILED."""
        self._jobs[request_id].error = error

    def note_size(self, file_name: str, size: int) -> None:
        """Remember the size in bytes of a rendered file: results name it from now on."""
        self._sizes[file_name] = size

    def own_job(self, call: Call) -> Job | None:
        """Return the request that the path names, of any age; None if it is not the caller's."""
        job = self._jobs.get(call.name)
        return job if job is not None and job.workspace == fingerprint(call.key) else None

    def completed_at(self, request_id: str) -> float:
        """Return when the run of a known request ends."""
        return self._jobs[request_id].finished_at

    def balance(self, name: str, now: float) -> tuple[int, int, int]:
        """Return (available, billed, reserved) of the workspace ``name``, in millionths of a credit."""
        workspace = self._workspace(name, now)
        granted = to_micros(self.settings.credits)
        return workspace.available(granted), workspace.billed, workspace.reserved

    def _accept(self, call: Call) -> Job | EmulatedResponse:
        model = self._models.get(call.name)
        settings = self.settings
        if call.name in settings.retired:
            return self.refuse(call, error_response(410, f"Model {call.name} has been retired"))
        if model is None:
            text = f"Model {call.name} not found"
            return self.refuse(call, error_response(404, text, code="MODEL_NOT_FOUND", model=call.name))
        if model.slug in settings.restricted:
            return self.refuse(call, error_response(403, f"Model {call.name} is restricted for this team"))
        if wrong := wrong_content_type(call):
            return self.refuse(call, wrong)
        body = decode(call.request.body)
        if not isinstance(body, dict):
            return self.refuse(call, error_response(400, "Request body is not a valid JSON object"))
        if refusal := validation.refusal(model.slug, body):
            return self.refuse(call, error_response(406, refusal))
        job = self._draw(call, model, body)
        workspace = self._workspace(job.workspace, call.now)
        granted = to_micros(settings.credits)
        available = workspace.available(granted)
        if available < max(job.price, 1):
            return self.refuse(call, self._insufficient(available))
        workspace.reserve(job)
        job.remaining = workspace.available(granted)
        self._jobs[job.request_id] = job
        self._files |= {video.file_name: (job, video) for video in job.videos}
        self.history.add(job)
        self.ledger.add(
            Submission(call.now, call.endpoint, job.workspace, model.slug, body, http_status=200, job=job)
        )
        return job

    def _draw(self, call: Call, model: Model, body: dict[str, Any]) -> Job:
        settings = self.settings
        draw = Draw.of(settings.seed, len(self._jobs))
        queue = between(bounds(settings.queue_seconds), draw.queue)
        inference = between(bounds(settings.inference_seconds), draw.inference)
        price = price_micros(model, inference, settings.price_per_second, settings.prices)
        error = validation.failure(
            model.slug,
            body,
            blocked_words=settings.blocked_words,
            unfetchable=lambda url: (
                any(part in url for part in settings.unfetchable)
                or self.assets.is_missing(url, call.request.base_url)
            ),
        )
        if error is not None:
            inference = min(inference, _REJECTION_SECONDS)
        if call.endpoint == "sync" and queue + inference > settings.sync_limit_seconds:
            queue = min(queue, settings.sync_limit_seconds)
            inference, error = settings.sync_limit_seconds - queue, _SYNC_TIMEOUT
        given = body.get("seed")
        seed = given if isinstance(given, int) and given >= 0 else draw.seed
        return Job(
            request_id=draw.request_id,
            ordinal=len(self._jobs),
            workspace=fingerprint(call.key),
            model=model.slug,
            parameters=body,
            submitted_at=call.now,
            queue_seconds=queue,
            inference_seconds=inference,
            price=price,
            seed=seed,
            videos=video_plans(draw, model, body, seed, settings),
            error=error,
        )

    def _find(self, call: Call) -> Job | EmulatedResponse:
        job = self.own_job(call)
        if job is None or call.now >= job.submitted_at + self.settings.record_ttl:
            return error_response(404, f"Request {call.name} not found")
        return job

    def _unfinished(self, job: Job, status: str, call: Call) -> EmulatedResponse:
        if status == "FAILED":
            return json_response(
                self.settings.failed_http_status, results.failed(job), request_id=job.request_id
            )
        body = results.running(job, status, call.request.base_url)
        return json_response(200, body, request_id=job.request_id)

    def _insufficient(self, available: int) -> EmulatedResponse:
        have = f"You have {to_credits(available)} credits."
        if self.settings.insufficient_status == 406:
            return error_response(406, f"Insufficient Credits. {have}")
        return error_response(402, f"Insufficient credits. {have}")

    def _available(self, call: Call) -> int:
        return self._workspace(fingerprint(call.key), call.now).available(to_micros(self.settings.credits))

    def _workspace(self, name: str, now: float) -> Workspace:
        workspace = self._workspaces.get(name)
        if workspace is None:
            workspace = self._workspaces[name] = Workspace(name)
        workspace.settle(now)
        return workspace


def decode(body: bytes) -> Any:
    """Return the value of a JSON body, None if it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def wrong_content_type(call: Call) -> EmulatedResponse | None:
    """Return the refusal of a body that is not declared as JSON, or None."""
    if call.request.headers.get("content-type", "").partition(";")[0].strip().lower() == JSON_TYPE:
        return None
    return error_response(406, f"Invalid content type. Allowed: {JSON_TYPE}")
