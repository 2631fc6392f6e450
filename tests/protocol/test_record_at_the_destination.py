"""The record at the destination alone, as on Airflow 3.2: read before anything else may fail."""

from __future__ import annotations

import asyncio

import pytest
from airflow.sdk.exceptions import AirflowFailException
from videos import changing, video

from airflow_ltx.exceptions import (
    ConfigurationError,
    DestinationError,
    InvalidParameter,
    RecordUnavailable,
    WaitTimeout,
)
from airflow_ltx.landing.local_place import LocalPlace

pytestmark = pytest.mark.usefixtures("no_hold", "quick_searches")


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        ({"segmind_conn_id": "not-there"}, ConfigurationError),
        ({"steps": "{{ 1000 }}"}, InvalidParameter),
        ({"on_clear": "{{ 'sometimes' }}"}, InvalidParameter),
    ],
)
def test_what_is_wrong_on_a_retry_is_no_end_and_names_what_was_bought(segmind, tmp_path, broken, error):
    segmind.configure(inference_seconds=1.0)
    how = {"destination": f"file://{tmp_path}/", "timeout": 0.1, "deferrable": False}
    run = changing(lambda: how, state=False)
    with pytest.raises(WaitTimeout):
        run.try_once()
    (bought,) = segmind.ledger.submissions
    how |= broken
    with pytest.raises(error) as caught:
        run.try_once()
    assert f"Request {bought.request_id}, bought by an earlier try, goes on" in caught.value.message
    for name in broken:
        del how[name]
    how["timeout"] = 20
    assert run.try_once()["request_id"] == bought.request_id
    assert len(segmind.ledger.submissions) == 1


@pytest.mark.parametrize("destination", ["oss://bucket/x/", "s3://not_there@bucket/videos/"])
def test_a_destination_behind_which_the_only_record_is_is_no_end_on_a_retry(segmind, tmp_path, destination):
    how = {"destination": "{{ 'oss' }}://bucket/x/"}
    run = changing(lambda: how, state=False)
    with pytest.raises(AirflowFailException):
        run.try_once()
    how |= {"destination": f"file://{tmp_path}/", "deferrable": False, "timeout": 0.1}
    segmind.configure(inference_seconds=1.0)
    with pytest.raises(WaitTimeout):
        run.try_once()
    whole, how["destination"] = how["destination"], f"{destination[0]}{{{{ '' }}}}{destination[1:]}"
    with pytest.raises(DestinationError, match="on record at the destination alone"):
        run.try_once()
    how |= {"destination": whole, "timeout": 20}
    assert run.try_once()["request_id"] == segmind.ledger.submissions[0].request_id
    assert len(segmind.ledger.submissions) == 1


@pytest.mark.parametrize("broken", [{"segmind_conn_id": "not-there"}, {"steps": "{{ 1000 }}"}])
def test_what_is_wrong_after_the_wait_is_no_end_either(segmind, tmp_path, broken):
    how = {"destination": f"file://{tmp_path}/"}
    run = changing(lambda: how, state=False)

    def answer(deferral):
        told = {"event": asyncio.run(run.fire(deferral))}
        how.update(broken)
        return told

    with pytest.raises((ConfigurationError, InvalidParameter), match="A retry takes up this request"):
        run.try_with(answer)
    for name in broken:
        del how[name]
    assert run.try_once()["reused"] is True


def test_a_record_that_could_not_be_read_after_the_wait_is_not_called_none(segmind, tmp_path, monkeypatch):
    run = video(state=False, destination=f"file://{tmp_path}/")

    def away(self, path):
        raise DestinationError("The disk is away for a moment.")

    def answer(deferral):
        told = {"event": asyncio.run(run.fire(deferral))}
        patch.setattr(LocalPlace, "read", away)
        return told

    with monkeypatch.context() as patch, pytest.raises(RecordUnavailable) as caught:
        run.try_with(answer)
    (bought,) = segmind.ledger.submissions
    assert bought.request_id in caught.value.message
    assert "a retry reads it, and takes up this request" in caught.value.message
    assert run.try_once()["request_id"] == bought.request_id
