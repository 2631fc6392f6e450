"""Tasks that defer to a sleep, and finish. Each way has a file of its own: a task imports all of its file."""

from __future__ import annotations

from airflow.sdk import DAG
from bare import Bare

for _count in (4, 40):
    with DAG(f"bare_{_count}", schedule=None) as _dag:
        Bare.partial(task_id="video", seconds=20.0).expand(number=list(range(_count)))
    globals()[_dag.dag_id] = _dag
