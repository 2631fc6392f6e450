"""Whenever a clip has landed: a DAG scheduled on an asset, here on that of ``scheduled_text_to_video``.

The events that started a run say which files they are about. One run may have several of them, and a run that
a person starts has none. Here each clip gets a page of its own beside it.
"""

from __future__ import annotations

from datetime import timedelta
from html import escape
from typing import Any

from airflow.sdk import DAG, Asset, ObjectStoragePath, task

with DAG(
    "ltx_on_new_clip",
    schedule=[Asset("ltx_daily_clips")],
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    doc_md=__doc__,
    tags=["ltx", "example"],
) as dag:

    @task
    def clips(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
        """What the events say of their files: URI, request id, SHA-256 and cost."""
        return [event.extra for events in triggering_asset_events.values() for event in events]

    @task
    def make_page(clip: dict[str, Any]) -> str:
        """Write ``<name>.html`` beside the clip and return its path."""
        video = ObjectStoragePath(clip["uri"])
        cost = f", ${clip['cost']:.2f}" if "cost" in clip else ""
        page = video.with_suffix(".html")
        page.write_text(
            f'<!doctype html><video src="{escape(video.name)}" controls></video>'
            f"<p>Request {escape(clip['request_id'])}{cost}</p>"
        )
        return str(page)

    make_page.expand(clip=clips())
