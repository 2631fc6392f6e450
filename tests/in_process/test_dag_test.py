"""Airflow's own task runner, deferral, XCom and task state, by `dag.test()`: no four processes."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

from local_airflow.schema import place_schema
from runner import HAS_TASK_STATE

HAS_OPENLINEAGE = find_spec("airflow.providers.openlineage") is not None
DAGS = Path(__file__).with_name("dags")
SIGNATURE = "0123456789abcdef5ecret"


def bought_with(segmind, seed: int) -> list[str]:
    return [one.request_id for one in segmind.ledger.purchases() if one.body["seed"] == seed]


def lineage_of(task_id: str, log: Path) -> list[dict]:
    """What OpenLineage was told when a task had succeeded."""
    told = [json.loads(line) for line in log.read_text().splitlines()]
    return [
        event
        for event in told
        if event["eventType"] == "COMPLETE" and event["job"]["name"].endswith(f".{task_id}")
    ]


def events(database: Path) -> list[tuple[str, dict[str, object]]]:
    """What the consumers of each asset are told, one after the other."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "select a.name, e.extra from asset_event e join asset a on a.id = e.asset_id order by e.id"
        )
        return [(name, json.loads(extra)) for name, extra in rows]


def rendered(task_id: str, database: Path) -> str:
    """A task's arguments as Airflow shows them."""
    with closing(sqlite3.connect(database)) as connection:
        ((fields,),) = connection.execute(
            "select rendered_fields from rendered_task_instance_fields where task_id = ?", (task_id,)
        )
        return fields


def test_a_video_is_landed_through_a_deferral_and_a_retry_buys_only_where_nothing_is_kept(segmind, tmp_path):
    database = tmp_path / "airflow.db"
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
            {"type": "file", "log_file_path": str(tmp_path / "lineage"), "append": True}
        ),
    }
    place_schema(database, env=env, log=tmp_path / "migrate.log", python=sys.executable)
    ran = subprocess.run(
        [sys.executable, DAGS / "in_process.py"], env=env, capture_output=True, text=True, cwd=tmp_path
    )
    log = ran.stdout + ran.stderr
    assert ran.returncode == 0, log
    landed, retried, beside, copied, again = json.loads(tmp_path.joinpath("told.json").read_text())

    assert "Pausing task as DEFERRED" in log
    video = Path(landed["uri"].removeprefix("file://"))
    assert video.parent == tmp_path / "videos"
    assert hashlib.sha256(video.read_bytes()).hexdigest() == landed["sha256"]

    def told(result: dict) -> dict:
        return {name: result[name] for name in ("uri", "request_id", "sha256", "cost")}

    seen = events(database)
    for name, extra in (("films", told(landed)), (landed["uri"], told(landed)), ("copies", told(copied))):
        assert (name, extra) in seen
    # An asset that is named by reference: of a URL there is no request.
    assert seen[-1] == ("films", {"uri": again["uri"], "sha256": again["sha256"]})
    assert len(seen) == 4

    if HAS_OPENLINEAGE:
        (lineage,) = lineage_of("landed", tmp_path / "lineage")
        (output,) = lineage["outputs"]
        assert (output["namespace"], output["name"]) == ("file", str(video))
        assert output["facets"]["version"]["datasetVersion"] == landed["sha256"]
        size = output["outputFacets"]["outputStatistics"]
        assert (size["size"], size["fileCount"]) == (landed["bytes"], 1)
        assert lineage["run"]["facets"]["externalQuery"]["externalQueryId"] == landed["request_id"]

    copy = tmp_path / "copies" / f"{copied['request_id']}.mp4"
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == copied["sha256"] == again["sha256"]
    assert again["output_url"] == copied["output_url"]
    shown = rendered("again", database)
    assert f"{copied['output_url']}?***" in shown
    assert SIGNATURE not in shown + log

    assert log.count("The worker died.") >= 2
    first, *more = bought_with(segmind, seed=7)
    assert retried["request_id"] == [first, *more][-1]
    if HAS_TASK_STATE:
        assert more == []
        assert retried["reused"] is True
    else:
        assert len(more) == 1
        assert f"Bought request {first} of ltx-video. This Airflow keeps no record between tries" in log

    assert bought_with(segmind, seed=8) == [beside["request_id"]]
    assert beside["reused"] is True
