"""Videos by an operator that is written by hand."""

from __future__ import annotations

from airflow.sdk import DAG
from by_hand import ByHand

for _count in (4, 40):
    with DAG(f"by_hand_{_count}", schedule=None) as _dag:
        ByHand.partial(task_id="video").expand(prompt=[f"A pond, {n}" for n in range(_count)])
    globals()[_dag.dag_id] = _dag
