"""From what a request asks for to the films it gets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from airflow_ltx.emulator import validation
from airflow_ltx.emulator.catalogue import LTX_VIDEO, Model
from airflow_ltx.emulator.jobs import Draw
from airflow_ltx.emulator.resolution import VideoPlan, frame_size
from airflow_ltx.emulator.settings import Settings


def video_plans(
    draw: Draw, model: Model, body: Mapping[str, Any], seed: int, settings: Settings
) -> tuple[VideoPlan, ...]:
    """Return the plan of every output of a request, the first one first."""
    width, height, frames = model.width, model.height, model.frames
    if model.slug == LTX_VIDEO:
        width, height = frame_size(body.get("aspect_ratio", "3:2"), body.get("target_size", 640))
        frames = body.get("length", 97)
    first = VideoPlan(
        request_id=draw.request_id,
        file_name=draw.file_name,
        model=model.slug,
        prompt=str(body.get("prompt") or ""),
        seed=seed,
        width=width,
        height=height,
        frames=frames,
        fps=settings.fps,
        note="from an image" if validation.has_image(body) else "",
        least_bytes=settings.least_bytes,
    )
    return (first, *(_another(first, number) for number in range(2, settings.outputs + 1)))


def _another(first: VideoPlan, number: int) -> VideoPlan:
    name = f"{first.file_name.removesuffix('.mp4')}-{number}.mp4"
    return dataclasses.replace(first, file_name=name, note=f"output {number}")
