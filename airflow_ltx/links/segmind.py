"""The button on the task page that opens a finished video."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class SegmindOutputLink(BaseOperatorLink):
    """Opens the first file of a completed request at the service, also if it could not be landed.

    Before the completion and after a failed request there is no URL, and the button is not active. The
    service deletes its files after some days; the file at the task's destination stays.
    """

    name = "Segmind output"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The URL that this leg of the task has learnt; empty if none.

        Airflow calls this on the worker at the end of each leg, whatever its state, and keeps the answer.
        """
        return getattr(operator, "output_link", None) or ""
