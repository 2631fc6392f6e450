"""This package's operator as its users write it, without a destination."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_ltx.operators.ltx import LTXSubmitOperator

for _count in (4, 40):
    with DAG(f"deferred_{_count}", schedule=None) as _dag:
        LTXSubmitOperator.partial(task_id="video").expand(prompt=[f"A pond, {n}" for n in range(_count)])
    globals()[_dag.dag_id] = _dag
