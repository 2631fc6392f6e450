"""Bodies about a request: accepted, running, failed, done. Absolute URLs, as the service sends them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from airflow_ltx.emulator.jobs import Job
from airflow_ltx.emulator.pricing import to_credits
from airflow_ltx.emulator.resolution import VideoPlan

ResultShape = Literal["video", "output_string", "output_list", "output_object", "nested"]


def submitted(job: Job, base_url: str) -> dict[str, Any]:
    """The answer to an accepted submit."""
    return {
        "request_id": job.request_id,
        "status": "QUEUED",
        "poll_url": f"{base_url}/v1/requests/{job.request_id}",
        **_urls(job, base_url),
    }


def running(job: Job, status: str, base_url: str) -> dict[str, Any]:
    """A request that is queued or processing."""
    return {"status": status, "request_id": job.request_id, **_urls(job, base_url), "metrics": {}}


def completed(job: Job, remaining: int) -> dict[str, Any]:
    """The light body of the status endpoint."""
    return {"status": "COMPLETED", "request_id": job.request_id, "metrics": _metrics(job, remaining)}


def failed(job: Job) -> dict[str, Any]:
    """Both endpoints' body of a failed request; it names no cost, since there is none."""
    return {
        "status": "FAILED",
        "request_id": job.request_id,
        "error": job.error,
        "metrics": {
            "inference_time": round(job.inference_seconds, 6),
            "queue_time": round(job.queue_seconds, 6),
        },
    }


def result(
    job: Job, remaining: int, base_url: str, shape: ResultShape, sizes: Mapping[str, int]
) -> dict[str, Any]:
    """The whole result. Of several files, the shapes without a list name the first alone.

    :param sizes: Bytes by file name, of the files that have been rendered.
    """
    videos = [_video(plan, base_url, sizes) for plan in job.videos]
    video, url = videos[0], videos[0]["url"]
    body: dict[str, Any] = {
        "status": "COMPLETED",
        "error": None,
        "seed": str(job.seed),
        "prompt": job.video.prompt,
        "timings": {"inference": round(job.inference_seconds, 6)},
        "metrics": _metrics(job, remaining),
    }
    match shape:
        case "video":
            return {**body, "video": video, "output": url}
        case "output_string":
            return {**body, "output": url}
        case "output_list":
            return {**body, "output": [each["url"] for each in videos]}
        case "output_object":
            return {**body, "output": video}
        case "nested":
            return {**body, "output": {"videos": videos}}


def _video(plan: VideoPlan, base_url: str, sizes: Mapping[str, int]) -> dict[str, Any]:
    url = f"{base_url}/files/{plan.file_name}"
    video = {"url": url, "content_type": "video/mp4", "file_name": plan.file_name}
    if plan.file_name in sizes:
        video["file_size"] = str(sizes[plan.file_name])
    return video


def _urls(job: Job, base_url: str) -> dict[str, str]:
    response_url = f"{base_url}/v2/requests/{job.request_id}"
    return {"status_url": f"{response_url}/status", "response_url": response_url}


def _metrics(job: Job, remaining: int) -> dict[str, float]:
    return {
        "cost": to_credits(job.price),
        "remaining_credits": to_credits(remaining),
        "inference_time": round(job.inference_seconds, 6),
        "queue_time": round(job.queue_seconds, 6),
        "total_time": round(job.queue_seconds + job.inference_seconds, 6),
    }
