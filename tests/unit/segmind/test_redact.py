"""What signs a URL is in no message, however the URL is written."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx.exceptions import SegmindError
from airflow_ltx.segmind.protocol import read_status, read_submit
from airflow_ltx.segmind.redact import quote_service, unsigned, without_queries, without_query
from tests.unit.segmind.support import REQUEST_ID, response

SIGNED = "X-Amz-Credential=AKIA&X-Amz-Signature=SECRET123"

paths = st.text(st.sampled_from("ab/'<>()[],;:.!~%é-_@&=+"), max_size=12)
blanks = st.text(st.sampled_from("ab/' <>.\n\t"), max_size=12)
names = st.text(st.sampled_from("aZ9-_.~[]%"), min_size=1, max_size=5)
punctuation = st.text(st.sampled_from("ab'<>()[],;:.!~%/?#@&=+-"), max_size=6)
schemes = st.sampled_from(["http://", "https://", "HTTPS://"])
around = st.sampled_from(["{}", "cannot fetch {} (403)", "['{}']", "<{}>", 'see "{}".', "{}, {}", "({})!"])
spelling = st.sampled_from([str, json.dumps, lambda t: json.dumps(t).replace("/", "\\/")])


@given(schemes, paths | blanks, names, punctuation, st.sampled_from("?#"), around, spelling)
def test_no_value_of_a_query_is_quoted(scheme, path, name, value, begins, text, spelled) -> None:
    if begins == "#" and any(map(str.isspace, path)):
        begins = "?"
    url = f"{scheme}host/{path}{begins}{name}=SECRET{value}SECRET"
    assert "SECRET" not in quote_service(spelled(text.replace("{}", url)))
    assert "SECRET" not in without_queries(text.replace("{}", url))


@given(schemes, paths | blanks, names, punctuation)
def test_no_value_of_a_query_is_left_in_a_parameter(scheme, path, name, value) -> None:
    url = f"{scheme}host/{path}?{name}=SECRET{value} b&{name}=SECRET{value}"
    assert "SECRET" not in json.dumps(unsigned({"image": url, "images": [f" {url}\n"]}))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://h/it's.png?sig=1 now", "see https://h/it's.png now"),
        ("see https://h/a.png?name=o'neill&sig=1.", "see https://h/a.png."),
        ("{'image': 'https://h/a.png?sig=1', 'b': 2}", "{'image': 'https://h/a.png', 'b': 2}"),
        ("see https://h/my cat.png?sig=1#x now", "see https://h/my cat.png now"),
        ("model is 'ltx-video?a=b'", "model is 'ltx-video?a=b'"),
        ("<https://joe:pa'ss@h/a.png>", "<https://h/a.png>"),
        (r"https:\/\/h\/a.png?sig=1", "https://h/a.png"),
        (r"https:\\/\\/h\\/a.png\\u003fsig=1\\u0026b=2", "https://h/a.png"),
        (r"\u0068ttps://h/a.png?a=\u0022b", "https://h/a.png"),
        ("why? because a = b & c = d", "why? because a = b & c = d"),
    ],
)
def test_the_rest_is_shown(text: str, shown: str) -> None:
    assert quote_service(text) == shown


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize(
    "body",
    [
        rb'{"error":"cannot fetch https:\/\/bucket\/a.png?%s"}' % SIGNED.encode(),
        rb'upstream: {"error":"cannot fetch https:\/\/bucket\/a.png\u003f%s' % SIGNED.encode(),
        json.dumps({"error": f"cannot fetch https://bucket/it's.png?{SIGNED}"}).encode(),
        json.dumps({"error": json.dumps({"url": f"https://bucket/a b.png?{SIGNED}"})}).encode(),
    ],
)
def test_no_error_of_the_service_repeats_it(status: int, body: bytes) -> None:
    for read in (lambda r: read_submit(r, "m", sent_at=0.0), lambda r: read_status(r, REQUEST_ID)):
        with pytest.raises(SegmindError) as caught:
            read(response(status, body))
        assert "SECRET123" not in caught.value.message


@given(st.text(st.characters(exclude_categories=["Cs", "Z"]), max_size=20), schemes | st.just("http:"))
def test_a_url_without_blanks_is_cut_as_ever(rest: str, scheme: str) -> None:
    url = scheme + "h/" + "".join(rest.split())
    assert unsigned(url) == without_query(url)


@pytest.mark.parametrize("text", ["a lighthouse? #dusk", "see https://h/a.png?sig=1", "", "httpx://h?a=1"])
def test_what_does_not_begin_as_a_url_is_left_alone(text: str) -> None:
    assert unsigned(text) == text


@pytest.mark.parametrize("piece", ["https://x'", "\\", "?a", "://", "https://x?", "?a=", "&", "https://["])
def test_a_long_text_is_quoted_in_no_time(piece: str) -> None:
    began = time.monotonic()
    quote_service(piece * 200_000)
    assert time.monotonic() - began < 5
