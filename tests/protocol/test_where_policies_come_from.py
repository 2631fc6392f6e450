"""Policies: of the task, else of its connection, else of the deployment."""

from __future__ import annotations

import json

import pytest
from airflow.sdk.exceptions import AirflowFailException
from videos import PROMPT, changing, ids, video

from airflow_ltx.durability.policies import CHOICES
from airflow_ltx.exceptions import SubmitOutcomeUnknown
from segmind_service import connection

pytestmark = pytest.mark.usefixtures("no_hold", "quick_searches")


WHERE = pytest.mark.parametrize(
    ("argument", "extra", "option", "other"),
    [
        (None, None, None, False),
        (None, None, 1, True),
        (None, 0, 1, False),
        (None, 1, 0, True),
        (0, 1, 1, False),
        (1, 0, 0, True),
        ("{{ none }}", "", 1, True),
    ],
)


@pytest.fixture
def policy(segmind, monkeypatch):
    """Sets a policy in the connection and for the deployment; tells the argument for the task."""

    def put(name, argument, extra, option):
        def word(value):
            return CHOICES[name][value] if isinstance(value, int) else value

        value = json.loads(connection(segmind.base_url)) | {"extra": {name: word(extra)}}
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", json.dumps(value))
        if option is not None:
            monkeypatch.setenv(f"AIRFLOW__SEGMIND__{name.upper()}", word(option))
        return {name: word(argument)}

    return put


@WHERE
def test_on_clear_comes_from_the_task_else_the_connection_else_the_deployment(
    segmind, policy, argument, extra, option, other
):
    run = video(**policy("on_clear", argument, extra, option))
    run.try_once()
    run.clear()
    run.try_once()
    assert len(segmind.ledger.submissions) == 1 + other


@WHERE
def test_on_orphaned_intent_comes_from_there_too(segmind, policy, argument, extra, option, other):
    segmind.add_faults("submit:before:reset")
    run = video(timeout=0.3, **policy("on_orphaned_intent", argument, extra, option))
    if other:
        assert run.try_once()["request_id"] == ids(segmind)[0]
    else:
        with pytest.raises(SubmitOutcomeUnknown, match="nothing was bought in its place"):
            run.try_once()
        assert ids(segmind) == []


@WHERE
def test_and_so_does_on_stale_state(segmind, policy, argument, extra, option, other):
    given = policy("on_stale_state", argument, extra, option)
    prompts = iter([f"{PROMPT} one", f"{PROMPT} two"])
    run = changing(lambda: {"prompt": next(prompts), "wait_for_completion": False, **given})
    run.try_once()
    if other:
        with pytest.raises(AirflowFailException, match="on_stale_state is 'fail'"):
            run.try_once()
    else:
        run.try_once()
    assert len(segmind.ledger.submissions) == 2 - other


@pytest.mark.parametrize("where", ["argument", "connection", "deployment"])
@pytest.mark.parametrize("name", CHOICES)
def test_a_policy_that_does_not_exist_is_named_before_money_is_spent(segmind, monkeypatch, where, name):
    arguments = {}
    match where:
        case "argument":
            arguments[name] = "{{ 'forget' }}"
        case "connection":
            value = json.loads(connection(segmind.base_url)) | {"extra": {name: "forget"}}
            monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", json.dumps(value))
        case _:
            monkeypatch.setenv(f"AIRFLOW__SEGMIND__{name.upper()}", "forget")
    with pytest.raises(AirflowFailException, match=name):
        video(**arguments).try_once()
    assert segmind.ledger.submissions == []
