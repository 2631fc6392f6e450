"""A file that was landed by a worker which died before it could note that: found, and not called lost."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException
from videos import Killed, files, killed, video

from airflow_ltx.exceptions import DestinationError
from airflow_ltx.landing.local_place import LocalPlace
from airflow_ltx.operators._attempt import Attempt
from runner import TaskRun

pytestmark = pytest.mark.usefixtures("no_hold", "quick_searches")


@pytest.fixture
def landed_unnoted(segmind, tmp_path, later, monkeypatch):
    """Runs a task's first try up to that point; then the service forgets its request."""

    def begin(name: str = "", **arguments) -> TaskRun:
        run = video(destination=f"file://{tmp_path}/{name}", **arguments)
        with monkeypatch.context() as patch:
            patch.setattr(Attempt, "landed", killed)
            with pytest.raises(Killed):
                run.try_once()
        later(7300)
        segmind.add_faults("history:before:404*inf")
        return run

    return begin


@pytest.mark.parametrize("name", ["", "film-{request_id}.mp4", "{model}/{request_id}{ext}"])
def test_it_is_returned_and_nothing_is_bought(segmind, landed_unnoted, told, name):
    run = landed_unnoted(name)
    result = run.try_once()
    content = Path(result["uri"].removeprefix("file://")).read_bytes()
    assert (result["bytes"], result["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert (result["content_type"], result["output_url"], result["reused"]) == ("video/mp4", None, True)
    assert f"What it made is at {result['uri']} all the same" in told()
    run.clear()
    assert run.try_once()["uri"] == result["uri"]
    assert len(segmind.ledger.submissions) == 1


def test_each_of_several_files_is_found(segmind, landed_unnoted, tmp_path):
    segmind.configure(outputs=3, result_shape="nested")
    run = landed_unnoted(land_all=True)
    result = run.try_once()
    assert sorted(file["uri"] for file in result["files"]) == sorted(f"file://{p}" for p in files(tmp_path))
    assert len(result["files"]) == 3


def test_a_name_that_tells_no_request_is_nobodys(landed_unnoted):
    run = landed_unnoted("film.mp4")
    with pytest.raises(AirflowFailException, match="No retry buys another one"):
        run.try_once()


def test_a_destination_that_cannot_be_looked_at_is_no_absence(landed_unnoted, monkeypatch):
    run = landed_unnoted()

    def away(self, path):
        raise DestinationError("The disk is away for a moment.")

    with monkeypatch.context() as patch:
        patch.setattr(LocalPlace, "find", away)
        with pytest.raises(DestinationError, match="A retry takes up this request"):
            run.try_once()
    assert run.try_once()["uri"] is not None


def test_a_file_that_was_noted_and_is_spoilt_is_lost(segmind, tmp_path, later):
    run = video(destination=f"file://{tmp_path}/")
    Path(run.try_once()["uri"].removeprefix("file://")).write_bytes(b"spoilt")
    later(7300)
    segmind.add_faults("history:before:404*inf")
    run.clear()
    with pytest.raises(AirflowFailException, match="No retry buys another one"):
        run.try_once()
