from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_ltx.exceptions import OutputMissing
from airflow_ltx.segmind.models import Output, RequestResult
from airflow_ltx.segmind.outputs import read_outputs
from tests.unit.segmind.support import KEY

A = "https://images.segmind.com/a.mp4"
B = "https://images.segmind.com/b.png"


def urls(body: dict[str, Any]) -> list[str]:
    return [output.url for output in read_outputs(body, "id")]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"output": A}, [A]),
        ({"output": f"  {A}\n"}, [A]),
        ({"output": [A, B]}, [A, B]),
        ({"output": {"url": A}}, [A]),
        ({"output": [{"url": A}, {"url": B}]}, [A, B]),
        ({"output": {"video": {"url": A}}}, [A]),
        ({"output": {"urls": [A, B]}}, [A, B]),
        ({"output": {"result": {"data": A}}}, [A]),
        ({"video": {"url": A}}, [A]),
        ({"video": A}, [A]),
        ({"videos": [{"url": A}]}, [A]),
        ({"images": [{"url": B}]}, [B]),
        ({"audio": {"url": A}}, [A]),
        ({"outputs": [A]}, [A]),
        ({"output": B, "video": {"url": A}}, [A, B]),
        ({"output": A, "video": {"url": A}}, [A]),
        ({"output": [A, A, B, A]}, [A, B]),
        ({"output": json.dumps({"url": A})}, [A]),
        ({"output": json.dumps([A, B])}, [A, B]),
        ({"output": json.dumps({"output": A})}, [A]),
        ({"output": A.upper()}, [A.upper()]),
        ({"output": A + "?sig=1"}, [A + "?sig=1"]),
        ({"output": [None, 3, "text", A]}, [A]),
        ({"output": {"url": None, "image": B}}, [B]),
    ],
)
def test_every_known_shape_names_its_files_in_order_and_once(
    body: dict[str, Any], expected: list[str]
) -> None:
    assert urls({"status": "COMPLETED", **body}) == expected


def test_the_typed_member_brings_what_is_known_of_the_file() -> None:
    video = {"url": A, "content_type": "video/mp4", "file_name": "a.mp4", "file_size": "1234"}
    (output,) = read_outputs({"video": video, "output": A}, "id")
    assert output == Output(A, "video/mp4", "a.mp4", 1234)


@pytest.mark.parametrize("size", [None, "", "big", [], 1.5, True, "9" * 5000])
def test_an_odd_file_size_is_no_file_size(size: Any) -> None:
    (output,) = read_outputs({"video": {"url": A, "file_size": size, "content_type": 7}}, "id")
    assert (output.file_size, output.content_type) == (None, None)


@pytest.mark.parametrize(
    "output",
    [
        None,
        "",
        [],
        {},
        7,
        True,
        "done",
        "data:video/mp4;base64,AAAA",
        {"url": "data:image/png;base64,AAAA"},
        "ftp://host/a.mp4",
        "s3://bucket/a.mp4",
        "file:///etc/passwd",
        "//host/a.mp4",
        "https://",
        "https:///a.mp4",
        "https://[::1/a.mp4",
        "https://host/a b.mp4",
        "{not json",
        "[" * 20_000,
    ],
)
def test_a_completed_record_without_a_fetchable_file_is_an_error_that_quotes_it(output: Any) -> None:
    with pytest.raises(OutputMissing, match="was billed") as caught:
        read_outputs({"status": "COMPLETED", "note": "look here", "output": output}, "id")
    assert caught.value.request_id == "id"
    assert len(caught.value.message) < 1000


@pytest.mark.parametrize("depth", [10, 900, 100_000])
def test_a_deep_string_of_json_is_searched_without_a_crash(depth: int) -> None:
    with pytest.raises(OutputMissing):
        read_outputs({"output": "[" * depth + "]" * depth}, "id")


def test_a_record_as_deep_as_the_parser_allows_is_searched_without_a_crash() -> None:
    deep: Any = A
    for _ in range(900):
        deep = [deep]
    with pytest.raises(OutputMissing):
        read_outputs({"output": deep}, "id")


def test_the_quoted_record_holds_neither_key_nor_signature() -> None:
    body = {"output": None, "echo": KEY, "input": {"image": "https://bucket/a.png?sig=SIGNED"}}
    with pytest.raises(OutputMissing) as caught:
        read_outputs(body, "id", secret=KEY)
    assert KEY not in caught.value.message
    assert "SIGNED" not in caught.value.message


def test_a_wide_record_is_read_whole_and_fast() -> None:
    many = [f"https://host/{number}.png" for number in range(20_000)]
    assert urls({"output": many}) == many


def test_a_signed_url_shows_in_no_repr() -> None:
    output = Output(A + "?sig=SIGNED")
    assert output.signed
    assert not Output(A).signed
    assert "SIGNED" not in repr(RequestResult("id", (output,)))


leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from([A, B, f'["{A}"]'])
keys = st.sampled_from(["url", "video", "images", "output", "data", "x"])
trees = st.recursive(
    leaves, lambda t: st.lists(t, max_size=3) | st.dictionaries(keys, t, max_size=3), max_leaves=12
)


@settings(max_examples=50)
@given(st.dictionaries(keys, trees, max_size=4))
def test_any_record_gives_distinct_fetchable_urls_or_an_error(body: dict[str, Any]) -> None:
    try:
        found = urls(body)
    except OutputMissing:
        return
    assert found
    assert len(set(found)) == len(found)
    assert set(found) <= {A, B}


@given(
    st.builds(
        RequestResult,
        request_id=st.text(min_size=1, max_size=8),
        outputs=st.lists(
            st.builds(Output, url=st.just(A), file_size=st.none() | st.integers()), max_size=2
        ).map(tuple),
        seed=st.none() | st.integers(),
    )
)
def test_a_result_survives_json(result: RequestResult) -> None:
    stored = json.loads(json.dumps(result.to_json()))
    assert RequestResult.from_json(stored) == result
    newer = {**stored, "new": 1, "outputs": [{**output, "new": 1} for output in stored["outputs"]]}
    assert RequestResult.from_json(newer) == result
