"""Destinations that cannot work: found before money is spent, or, where only the video shows it, told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from complaints import PROMPT, SIGNATURE, errors_in, second_of

from airflow_ltx.exceptions import DestinationError
from airflow_ltx.operators.ltx import LTXSubmitOperator
from runner import TaskRun

LITTLE_ROOM = Path(__file__).with_name("little_room.py")
PYTHON_PATH = os.pathsep.join(str(LITTLE_ROOM.parents[level]) for level in (1, 2))
NAMESPACE = ["unshare", "--mount", "--map-root-user", "--propagation", "private"]
MODES = [{"deferrable": True}, {"deferrable": False}]
MALFORMED = {
    "oss://bucket/videos/": "has the scheme 'oss'; this version lands to file://, s3://",
    "OSS://nowhere@bucket/videos/": "has the scheme 'oss'",
    "s3:///videos/": "names no bucket: write s3://my_conn@bucket/videos/",
    f"https://bucket.s3.amazonaws.com/a.mp4?X-Amz-Signature={SIGNATURE}": "has the scheme 'https'",
    f"oss://AKIA:{SIGNATURE}@bucket/videos/": "has the scheme 'oss'",
    f"s3://AKIA/{SIGNATURE}@bucket/../videos/": "goes around with '.' or '..'",
    "s3://account@bucket.blob.core.windows.net/v/": "names a storage account",
    "/data/videos/": "is no URI: write file:///data/videos/ or s3://my_conn@bucket/videos/ instead",
    "videos/": "is no URI",
    "file:/data/videos/": "is no URI",
    "None": "is no URI",
    "": "is no URI",
    "file://data/videos/": "names a host",
    "file://nowhere@/data/videos/": "names a host",
    "file://~/videos/": "names a host",
    "file:///data/../videos/": "goes around with '.' or '..'",
    "file://": "names no folder",
    "file:///data/\tvideos/": "holds control characters",
    "{'uri': 'file:///data/videos/'}": "has the scheme",
}


def mapped(uri: Any, **arguments: Any) -> TaskRun:
    """The second index of a task that is mapped over its destinations."""
    partial = {"task_id": "t", "prompt": PROMPT, **arguments}
    return TaskRun(
        second_of(lambda: LTXSubmitOperator.partial(**partial).expand(destination=["file:///x/", uri]))
    )


@pytest.mark.parametrize("uri", MALFORMED)
def test_a_literal_is_an_error_when_the_dag_is_parsed_and_names_the_task(uri):
    with pytest.raises(DestinationError) as caught:
        LTXSubmitOperator(task_id="t", prompt=PROMPT, destination=uri)
    assert str(caught.value).startswith("Task 't': Invalid destination: ")
    assert MALFORMED[uri] in str(caught.value)
    assert SIGNATURE not in str(caught.value)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("uri", MALFORMED)
def test_a_template_or_a_mapped_value_is_one_clear_line_before_money_is_spent(bench, uri, mode):
    for run in (bench.video(destination=f"{{{{ {uri!r} }}}}", **mode), mapped(uri, **mode)):
        said = bench.complaints(run, final=True)
        assert MALFORMED[uri] in said
        assert "Nothing was sent or billed" in said
    assert bench.segmind.ledger.submissions == []


@pytest.mark.parametrize("uri", [["file:///x/"], {"uri": "file:///x/"}, 7, True])
def test_what_is_no_text_is_no_destination(bench, uri):
    with pytest.raises(DestinationError, match="Task 't': "):
        LTXSubmitOperator(task_id="t", prompt=PROMPT, destination=uri)
    bench.complaint(mapped(uri), final=True)
    assert bench.segmind.ledger.submissions == []


def test_a_path_object_is_no_destination(bench):
    with pytest.raises(DestinationError, match="'/data/videos' is no URI: write file:///data/videos/"):
        LTXSubmitOperator(task_id="t", prompt=PROMPT, destination=Path("/data/videos"))


@pytest.mark.parametrize("mode", MODES)
def test_a_connection_for_it_that_nobody_needs_is_refused_before_money_is_spent(bench, mode):
    run = mapped("file:///x/", destination_conn_id="aws_nowhere", **mode)
    said = bench.complaints(run, final=True)
    assert "destination_conn_id is given for a file:// destination, which needs none" in said
    assert bench.segmind.ledger.submissions == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "where", ["below a file", "a file's name", "below /proc", "too long", "a folder's name"]
)
def test_what_cannot_be_written_is_told_before_money_is_spent(bench, tmp_path, where, mode):
    (tmp_path / "file").write_text("not a folder")
    uri = {
        "below a file": f"file://{tmp_path}/file/videos/",
        "a file's name": f"file://{tmp_path}/file/",
        "below /proc": "file:///proc/videos/",
        "too long": f"file://{tmp_path}/{'a' * 300}.mp4",
        "a folder's name": f"file://{tmp_path}",
    }[where]
    said = bench.complaints(bench.video(destination=uri, **mode), final=False)
    assert "cannot be written (" in said
    assert "Correct the destination or the folder's permissions" in said
    assert "Nothing was sent or billed" in said
    assert "A retry begins anew" in said
    assert bench.segmind.ledger.submissions == []
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def _mounts_of_its_own() -> bool:
    if shutil.which(NAMESPACE[0]) is None:
        return False
    return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def on_a_little_disk(kind: str, wait: str, folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Run the task with too little room, then with enough: what each try told, and the ERROR lines."""
    command = [sys.executable, str(LITTLE_ROOM), kind, wait, str(folder)]
    if kind != "limit":
        if not _mounts_of_its_own():
            pytest.skip("a full disk needs mounts of its own: run as root, or allow user namespaces")
        command = [*NAMESPACE, *command]
    environment = {
        **os.environ, "PYTHONPATH": PYTHON_PATH, "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "-3",
    }  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1]), errors_in(done.stdout)


@pytest.mark.parametrize(
    ("kind", "wait", "reason"),
    [
        ("limit", "deferrable", "File too large"),
        ("limit", "blocking", "File too large"),
        ("small", "deferrable", "No space left on device"),
    ],
)
def test_a_disk_that_is_full_costs_no_second_video(segmind, tmp_path, kind, wait, reason):
    (first, second), errors = on_a_little_disk(kind, wait, tmp_path)
    (bought,) = segmind.ledger.submissions
    name = f"{bought.request_id}.mp4"
    assert first["error"] == "DestinationError"
    assert errors == [first["said"]]
    assert f"Writing {tmp_path / name} failed ({reason}). Nothing partial was left" in first["said"]
    assert "Make room" in first["said"]
    assert f"The file of request {bought.request_id} is paid for: {segmind.base_url}/files/" in first["said"]
    assert "A retry takes up this request and buys nothing" in first["said"]
    assert first["files"] == []
    assert second["files"] == [name]
    assert (second["result"]["request_id"], second["result"]["reused"]) == (bought.request_id, True)


@pytest.mark.parametrize(
    ("kind", "reason", "left"),
    [("full", "No space left on device", ["somebody's"]), ("readonly", "Read-only file system", [])],
)
def test_a_disk_that_takes_nothing_is_told_before_money_is_spent(segmind, tmp_path, kind, reason, left):
    (first, second), errors = on_a_little_disk(kind, "deferrable", tmp_path)
    assert first["error"] == "DestinationError"
    assert errors == [first["said"]]
    assert f"The destination folder {tmp_path} cannot be written ({reason})" in first["said"]
    assert "Nothing was sent or billed" in first["said"]
    assert first["files"] == left
    # Only the second try bought.
    (bought,) = segmind.ledger.submissions
    assert (second["result"]["request_id"], second["result"]["reused"]) == (bought.request_id, False)
    assert second["files"] == sorted([*left, f"{bought.request_id}.mp4"])
