"""What an author of a transfer learns when the DAG file is parsed, and what is templated."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG

from airflow_ltx.exceptions import DestinationError, InvalidParameter
from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator

URL = "https://files.example/clips/harbour.mp4"


def transfer(**arguments) -> SegmindToObjectStorageOperator:
    return SegmindToObjectStorageOperator(**{"task_id": "t", "destination": "file:///x/", **arguments})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "neither of them is given"),
        ({"request_id": "an-id", "url": URL}, "both of them is given"),
        ({"request_id": ""}, "request_id is ''"),
        ({"request_id": URL}, "request_id is 'https://files.example"),
        ({"request_id": "../v1/get-user-credits"}, "request_id is"),
        ({"url": "s3://bucket/a.mp4"}, "url is 's3://bucket/a.mp4'"),
        ({"url": ""}, "url is ''"),
        ({"url": [URL]}, "url is ['https://files.example"),
        ({"url": URL, "land_all": True}, "land_all is given with a url"),
        ({"url": URL, "destination": None}, "destination is None"),
        ({"url": URL, "if_exists": "never"}, "if_exists is 'never'"),
        ({"url": URL, "timeout": 0}, "timeout is 0"),
        ({"url": URL, "poll_interval": "5"}, "poll_interval is '5'"),
        ({"url": URL, "destination_conn_id": "x"}, "destination_conn_id is given for a file"),
    ],
)
def test_a_wrong_literal_is_an_error_that_names_the_task_and_the_value(arguments, said):
    with pytest.raises(InvalidParameter) as caught:
        transfer(**arguments)
    assert str(caught.value).startswith("Task 't': ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "uri", ["/data/videos/", "oss://bucket/{{ ds }}/", "s3:///x/", "file:///x/../y/", "file:///x/{name}"]
)
def test_a_destination_that_cannot_work_is_an_error(uri):
    with pytest.raises(DestinationError, match="Task 't'"):
        transfer(url=URL, destination=uri)


def test_what_is_not_known_yet_is_left_to_the_worker():
    with DAG("d", schedule=None) as dag:
        submit = LTXSubmitOperator(task_id="submit", prompt="A harbour", wait_for_completion=False)
        transfer(request_id=submit.output, destination="s3://c@b/{{ ds }}/", timeout=timedelta(minutes=5))
        transfer(task_id="u", url=submit.output["output_url"], destination="{{ params.where }}")
    assert dag.get_task("t").upstream_task_ids == {"submit"}
    assert dag.get_task("u").upstream_task_ids == {"submit"}


def test_everything_that_names_something_is_templated():
    given = {
        "request_id": "{{ x }}-1",
        "destination": "s3://bucket/{{ x }}/{request_id}{ext}",
        "destination_conn_id": "{{ x }}-conn",
        "segmind_conn_id": "{{ x }}-segmind",
        "model": "{{ x }}-model",
    }
    task = transfer(**given)
    task.render_template_fields({"x": "rendered"})
    assert {name: getattr(task, name) for name in given} == {
        name: text.replace("{{ x }}", "rendered") for name, text in given.items()
    }
    task = transfer(url=f"{URL}{{{{ x }}}}")
    task.render_template_fields({"x": "?v=1"})
    assert task.url == f"{URL}?v=1"


@pytest.mark.parametrize("secret", ["?X-Amz-Signature=0123456789abcdef", "#0123456789abcdef"])
def test_what_signs_a_url_is_not_shown_among_the_rendered_arguments(secret):
    from airflow.sdk._shared.secrets_masker import redact

    task = transfer(url="{{ url }}")
    task.render_template_fields({"url": URL + secret})
    assert task.url == URL + secret
    assert redact(task.url, "url") == f"{URL}{secret[0]}***"


def test_a_mapped_transfer_takes_ids_and_keeps_its_urls_secret_too():
    from airflow.sdk._shared.secrets_masker import redact

    signed = f"{URL}?X-Amz-Signature=fedcba9876543210"
    with DAG("d", schedule=None) as dag:
        SegmindToObjectStorageOperator.partial(task_id="ids", destination="file:///x/").expand(
            request_id=["one", "two"]
        )
        SegmindToObjectStorageOperator.partial(task_id="urls", destination="file:///x/").expand(
            url=[URL, signed]
        )
    built = {}
    for task in dag.tasks:
        kwargs, _ = task._expand_mapped_kwargs({"ti": SimpleNamespace(map_index=1, run_id="r")})
        built[task.task_id] = task.unmap(kwargs)
    assert built["ids"].request_id == "two"
    assert built["urls"].url == signed
    assert redact(built["urls"].url) == f"{URL}?***"
