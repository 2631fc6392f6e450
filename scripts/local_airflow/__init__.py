"""A real Airflow on this machine for the demo, the system tests and the curious: see `LocalAirflow`."""

from __future__ import annotations

from local_airflow.api import AirflowApi
from local_airflow.errors import ApiError, StackError, tail
from local_airflow.health import API_SERVER, COMPONENTS, DAG_PROCESSOR, SCHEDULER, TRIGGERER
from local_airflow.records import ImportFailure, TaskInstance
from local_airflow.stack import LocalAirflow

__all__ = [
    "API_SERVER",
    "COMPONENTS",
    "DAG_PROCESSOR",
    "SCHEDULER",
    "TRIGGERER",
    "AirflowApi",
    "ApiError",
    "ImportFailure",
    "LocalAirflow",
    "StackError",
    "TaskInstance",
    "tail",
]
