"""Run with an Airflow home: puts deferred tasks and their triggers into its database, as a scheduler would
have by now. No task ran for them.

Reads a list of trigger arguments as JSON; each becomes a task of some run. A triggerer reads the whole DAG
for each of its tasks, so there are few of them in it.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
from airflow.models.dagrun import get_or_create_dagrun
from airflow.models.trigger import Trigger
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, timezone
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType

from airflow_ltx.triggers.segmind import SegmindRequestTrigger

DAG_ID = "rows"
TASKS = 10


def main() -> None:
    """Write everything in one transaction, as a triggerer that runs already might take half of it."""
    wanted = json.load(sys.stdin)
    with DAG(DAG_ID, schedule=None) as dag:
        for number in range(TASKS):
            EmptyOperator(task_id=f"t{number}")
    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    (bundle,) = manager.get_all_dag_bundles()
    bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, bundle.name, bundle.version)
    stored = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    now = timezone.utcnow()
    with create_session() as session:
        for begin in range(0, len(wanted), TASKS):
            run = get_or_create_dagrun(
                dag=stored,
                run_id=f"rows{begin}",
                logical_date=now + timedelta(seconds=begin),
                data_interval=None,
                run_after=now,
                conf=None,
                triggered_by=DagRunTriggeredByType.TEST,
                triggering_user_name=None,
                start_date=now,
                session=session,
            )
            tasks = {task.task_id: task for task in run.task_instances}
            for number, arguments in enumerate(wanted[begin : begin + TASKS]):
                trigger = Trigger.from_object(SegmindRequestTrigger(**arguments))
                session.add(trigger)
                session.flush()
                task = tasks[f"t{number}"]
                task.state = TaskInstanceState.DEFERRED
                task.trigger_id, task.next_method, task.next_kwargs = trigger.id, "execute_complete", {}


if __name__ == "__main__":
    main()
