from __future__ import annotations

from pathlib import Path

import pytest

from showcase.remarks import failure_reason, last_remark
from showcase.report import Book, aligned, dollars, local_path, relative, xcom_rows


def test_the_result_comes_first_one_field_a_row():
    rows = xcom_rows({"output_uri": "file:///x", "return_value": {"bytes": 3, "seed": None, "uri": "u"}})
    assert rows == [
        ("return_value.bytes", "3"),
        ("return_value.seed", "null"),
        ("return_value.uri", "u"),
        ("output_uri", "file:///x"),
    ]


def test_columns_are_aligned():
    assert aligned([("a", "1"), ("long", "2")]) == "  a     1\n  long  2"
    assert aligned([]) == ""


def test_a_path_with_a_space_is_found_quoted_or_not(tmp_path: Path):
    video = tmp_path / "my videos" / "100%.mp4"
    video.parent.mkdir()
    video.touch()
    assert local_path(f"file://{video}") == video
    assert local_path(video.as_uri()) == video
    with pytest.raises(ValueError, match="s3://b/k is not"):
        local_path("s3://b/k")


def test_paths_are_shown_as_one_would_type_them():
    assert relative(Path("/a/b/c.mp4"), Path("/a")) == "./b/c.mp4"
    assert relative(Path("/x/c.mp4"), Path("/a")) == "/x/c.mp4"


def test_an_unknown_cost_is_not_zero():
    assert dollars(0.057) == "0.0570 USD"
    assert "unknown" in dollars(None)


def test_the_ledger_in_two_numbers():
    assert Book.of({"submits": 2, "billed": 0.12, "submissions": []}) == Book(submits=2, billed=0.12)


OURS = "airflow.task.operators.airflow_ltx.operators.ltx.LTXSubmitOperator"


def test_the_remark_is_the_providers_latest_word():
    records = [
        {"logger": OURS, "level": "info", "event": "submitted  r1"},
        {"logger": "airflow_ltx.triggers.segmind", "level": "info", "event": "r1 is\nPROCESSING"},
        {"logger": "airflow_ltx.triggers.segmind", "level": "debug", "event": "poll 7"},
        {"logger": "task", "level": "info", "event": "::endgroup::"},
        "printed",
    ]
    assert last_remark(records) == "r1 is PROCESSING"
    assert last_remark(["printed"]) == ""


def test_the_reason_of_a_failure_is_the_last_exception():
    chain = [
        {"exc_type": "AirflowFailException", "exc_value": "the key was\nrefused"},
        {"exc_type": "HTTPError", "exc_value": "401"},
    ]
    records = [
        {"level": "error", "event": "Task failed with exception", "error_detail": chain},
        {"level": "error", "event": "something after it"},
        {"level": "info", "event": "done"},
    ]
    assert failure_reason(records) == "AirflowFailException: the key was refused"
    assert failure_reason(records[1:]) == "something after it"
    assert failure_reason(["text"]) == ""
