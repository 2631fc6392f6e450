"""Who is told of the files that a task landed: consumers of its outlets, and lineage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage


class TellsConsumers(BaseOperator):
    """For operators that land files."""

    _told: dict[str, Any] | None = None

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """The files that were landed, for OpenLineage, which asks after a failure too."""
        from airflow_ltx.operators._lineage import lineage_of

        return lineage_of(self._told or {})

    def _tell_outlets(self, outlet_events: Any, result: dict[str, Any]) -> None:
        """:param outlet_events: Of the task's context; None where there is none."""
        from airflow_ltx.operators._assets import tell_outlets

        self._told = result
        try:
            tell_outlets(self.outlets, outlet_events, result)
        except Exception:
            # The file is there and paid for; an event without its extra is no reason to fail.
            self.log.exception("The task's asset events could not be told which file it is.")
