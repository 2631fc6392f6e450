"""What may lie beside the main file: the request's other files, and a sidecar with what was asked for."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException
from videos import files

from airflow_ltx.exceptions import DestinationError
from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.operators.segmind import SegmindSubmitOperator
from runner import TaskRun, TaskState

PROMPT = "A prompt that nobody but its reader should see"
IMAGE = "https://pictures.example/first.png"

pytestmark = pytest.mark.usefixtures("no_hold")


@pytest.fixture
def video(segmind, tmp_path):
    """Builds runs of one LTX task with a destination."""

    def run(state=True, name="", **arguments) -> TaskRun:
        given = {
            "task_id": "t",
            "prompt": PROMPT,
            "destination": f"file://{tmp_path}/v/{name}",
            "poll_interval": 0.05,
            "timeout": 20,
            **arguments,
        }
        return TaskRun(lambda: LTXSubmitOperator(**given), state=TaskState() if state else None)

    return run


def path_of(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def sidecar_of(result: dict) -> Path:
    return path_of(result["uri"] + ".json")


def test_a_sidecar_has_what_was_sent_and_what_came_of_it(segmind, video):
    run = video(sidecar=True, length=97, image=f"{IMAGE}?X-Amz-Signature=5ecret")
    result = run.try_once()
    text = sidecar_of(result).read_text()
    told = json.loads(text)
    (submission,) = segmind.ledger.submissions
    assert told["parameters"] == {**submission.body, "image": IMAGE}
    assert told["parameters"]["seed"] == result["seed"]
    for key in ("request_id", "model", "uri", "bytes", "sha256", "content_type", "cost", "completed_at"):
        assert told[key] == result[key] is not None, key
    assert "5ecret" not in text


@pytest.mark.parametrize("name", ["my cat.png", "it's.png", "cat.png"])
def test_no_spelling_of_a_signed_link_gets_into_a_sidecar(segmind, tmp_path, name):
    image = f" https://pictures.example/{name}?X-Amz-Signature=5ecret\n"
    run = TaskRun(
        lambda: SegmindSubmitOperator(
            task_id="t",
            model="ltx-video",
            parameters={"prompt": PROMPT, "image": image},
            destination=f"file://{tmp_path}/v/",
            sidecar=True,
            poll_interval=0.05,
            timeout=20,
        )
    )
    told = sidecar_of(run.try_once()).read_text()
    assert json.loads(told)["parameters"]["image"] == f"https://pictures.example/{name}"
    assert "5ecret" not in told


def test_without_the_wish_nothing_that_is_kept_has_the_prompt(video, tmp_path):
    video().try_once()
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(kept) == 2
    assert not any(PROMPT.encode() in content for content in kept)


@pytest.mark.parametrize("state", [True, False])
def test_a_result_that_is_reused_gets_the_sidecar_that_it_lacks_and_keeps_the_one_it_has(
    segmind, video, state
):
    run = video(sidecar=True, state=state)
    sidecar = sidecar_of(run.try_once())
    first = json.loads(sidecar.read_text())
    sidecar.unlink()
    run.clear()
    assert run.try_once()["reused"] is True
    assert json.loads(sidecar.read_text()) == first
    sidecar.write_text("a person's notes")
    run.clear()
    assert run.try_once()["reused"] is True
    assert sidecar.read_text() == "a person's notes"
    assert len(segmind.ledger.submissions) == 1


def test_a_sidecar_that_cannot_be_written_fails_the_task_and_the_retry_buys_nothing(segmind, video, tmp_path):
    run = video(sidecar=True, name="v.mp4")
    in_the_way = tmp_path / "v" / "v.mp4.json"

    def meanwhile(deferral):
        in_the_way.mkdir(parents=True)
        return {"event": asyncio.run(run.fire(deferral))}

    with pytest.raises(DestinationError, match="A retry takes up this request and buys nothing"):
        run.try_with(meanwhile)
    in_the_way.rmdir()
    result = run.try_once()
    assert json.loads(in_the_way.read_text())["sha256"] == result["sha256"]
    assert len(segmind.ledger.submissions) == 1


@pytest.mark.parametrize("if_exists", ["same", "error"])
@pytest.mark.parametrize("content", ["a person's notes", '{"request_id": "another"}', "[1]", "{}"])
def test_another_file_under_the_sidecars_name_costs_nothing_and_stays(
    segmind, video, tmp_path, if_exists, content
):
    notes = tmp_path / "v" / "v.mp4.json"
    notes.parent.mkdir()
    notes.write_text(content)
    with pytest.raises(
        AirflowFailException, match=r"v\.mp4\.json is there already.*Nothing was sent or billed"
    ):
        video(sidecar=True, name="v{ext}", if_exists=if_exists).try_once()
    assert notes.read_text() == content
    assert segmind.ledger.submissions == []
    result = video(sidecar=True, name="v.mp4", if_exists="overwrite").try_once()
    assert json.loads(notes.read_text())["sha256"] == result["sha256"]


@pytest.mark.parametrize("if_exists", ["same", "error"])
def test_another_file_that_comes_meanwhile_stays_too(segmind, video, tmp_path, if_exists):
    notes = tmp_path / "v" / "v.mp4.json"
    run = video(sidecar=True, name="v.mp4", if_exists=if_exists)

    def meanwhile(deferral):
        notes.parent.mkdir(exist_ok=True)
        notes.write_text("a person's notes")
        return {"event": asyncio.run(run.fire(deferral))}

    with pytest.raises(DestinationError, match=r"v\.mp4\.json is there already"):
        run.try_with(meanwhile)
    assert notes.read_text() == "a person's notes"


def test_a_sidecar_of_its_own_is_renewed(segmind, video):
    run = video(sidecar=True, name="v.mp4", on_clear="regenerate")
    first = json.loads(sidecar_of(run.try_once()).read_text())
    run.clear()
    again = run.try_once()
    told = json.loads(sidecar_of(again).read_text())
    assert told["request_id"] == again["request_id"] != first["request_id"]


@pytest.mark.parametrize(
    ("name", "there"),
    [("v{ext}", "v.mp4"), ("{model}{ext}", "ltx-video.mp4"), ("{model}-{number}.mov", "ltx-video-1.mov")],
)
def test_a_name_that_can_be_told_is_looked_at_before_anything_is_bought(
    segmind, video, tmp_path, name, there
):
    other = tmp_path / "v" / there
    other.parent.mkdir()
    other.write_bytes(b"of somebody else")
    with pytest.raises(AirflowFailException, match=r"is there already.*Nothing was sent or billed"):
        video(name=name).try_once()
    assert other.read_bytes() == b"of somebody else"
    assert segmind.ledger.submissions == []


def test_of_several_files_the_first_is_landed_and_the_others_are_named(segmind, video):
    segmind.configure(outputs=3, result_shape="nested")
    run = video()
    result = run.try_once()
    assert files(path_of(result["uri"]).parent) == [path_of(result["uri"])]
    assert len(result["outputs"]) == 3
    assert "files" not in result
    assert "output_uris" not in run.ti.xcom


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("v.mp4", ["v.mp4", "v-2.mp4", "v-3.mp4"]),
        ("", ["{}.mp4", "{}-2.mp4", "{}-3.mp4"]),
        ("{number}/{request_id}{ext}", ["1/{}.mp4", "2/{}.mp4", "3/{}.mp4"]),
    ],
)
def test_each_of_several_files_is_landed_where_that_is_wanted(segmind, video, tmp_path, name, names):
    segmind.configure(outputs=3, result_shape="nested")
    run = video(name=name, land_all=True, sidecar=True)
    result = run.try_once()
    paths = [tmp_path / "v" / each.format(result["request_id"]) for each in names]
    contents = [path.read_bytes() for path in paths]
    assert len(set(contents)) == 3
    assert result["files"] == [
        {
            "uri": f"file://{path}",
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "content_type": "video/mp4",
        }
        for path, content in zip(paths, contents, strict=True)
    ]
    assert {key: result[key] for key in result["files"][0]} == result["files"][0]
    assert run.ti.xcom["output_uris"] == [file["uri"] for file in result["files"]]
    assert json.loads(sidecar_of(result).read_text())["files"] == result["files"]


def test_a_cleared_task_lands_what_is_missing_of_several_files(segmind, video):
    segmind.configure(outputs=2, result_shape="nested")
    run = video(land_all=True)
    first = run.try_once()
    run.clear()
    assert run.try_once() == {**first, "reused": True}
    other = path_of(first["files"][1]["uri"])
    other.write_bytes(b"spoilt")
    run.clear()
    again = run.try_once()
    assert again["files"] == first["files"]
    assert hashlib.sha256(other.read_bytes()).hexdigest() == first["files"][1]["sha256"]
    assert len(segmind.ledger.submissions) == 1


@pytest.mark.parametrize("gone", [False, True])
def test_a_cleared_task_that_wants_each_file_by_now_lands_the_others(segmind, tmp_path, later, gone):
    segmind.configure(outputs=3, result_shape="nested")
    how = {"land_all": False}
    given = {"task_id": "t", "prompt": PROMPT, "destination": f"file://{tmp_path}/", "poll_interval": 0.05}
    run = TaskRun(lambda: LTXSubmitOperator(**given, **how))
    first = run.try_once()
    assert len(first["outputs"]) == 3
    how["land_all"] = True
    run.clear()
    if gone:
        later(7300)
        segmind.add_faults("history:before:404*inf")
    result = run.try_once()
    assert len(result["files"]) == (1 if gone else 3)
    assert result["files"][0]["sha256"] == first["sha256"]
    assert len(segmind.ledger.submissions) == 1


def test_a_task_that_buys_anew_replaces_each_file_that_it_had(segmind, video):
    segmind.configure(outputs=2, result_shape="nested")
    run = video(land_all=True, name="v.mp4", on_clear="regenerate", seed=None)
    first = run.try_once()
    run.clear()
    again = run.try_once()
    assert [file["uri"] for file in again["files"]] == [file["uri"] for file in first["files"]]
    for before, after in zip(first["files"], again["files"], strict=True):
        assert before["sha256"] != after["sha256"]
        assert hashlib.sha256(path_of(after["uri"]).read_bytes()).hexdigest() == after["sha256"]


def test_a_task_that_buys_anew_replaces_the_one_file_that_it_had_and_no_other(segmind, video, tmp_path):
    run = video(name="v.mp4", on_clear="regenerate")
    first = run.try_once()
    run.clear()
    again = run.try_once()
    assert path_of(again["uri"]) == path_of(first["uri"]) == tmp_path / "v" / "v.mp4"
    assert (
        hashlib.sha256(path_of(again["uri"]).read_bytes()).hexdigest() == again["sha256"] != first["sha256"]
    )
    path_of(again["uri"]).write_bytes(b"another's")
    run.clear()
    with pytest.raises(AirflowFailException, match="is there already"):
        run.try_once()
    assert path_of(again["uri"]).read_bytes() == b"another's"
    assert len(segmind.ledger.submissions) == 2
