"""Uploads: what is taken, where it is then, who may read it, and what a job makes of its URL."""

from __future__ import annotations

import base64
import json

import pytest
from emulation import BASE_URL, PROMPT, world
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx.emulator.faults import FaultRule
from airflow_ltx.emulator.messages import EmulatedRequest

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def data_url(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def urls(w, *data_urls, **more):
    answer = w.upload(*data_urls, **more)
    assert answer.status == 200, answer.body
    return answer.json()["file_urls"]


def fetch(w, url, **more):
    return w.call("GET", url.removeprefix(BASE_URL), key="", **more)


def test_files_are_kept_as_they_are_and_answered_in_their_order():
    w = world()
    kinds = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "video/mp4": ".mp4"}
    contents = {kind: bytes([number]) * 3 for number, kind in enumerate(kinds)}
    answer = w.upload(*(data_url(content, kind) for kind, content in contents.items()))
    body = answer.json()
    assert (answer.status, set(body)) == (200, {"file_urls", "message"})
    assert body["message"] == "Files uploaded successfully"
    for url, (kind, content) in zip(body["file_urls"], contents.items(), strict=True):
        assert url.startswith(f"{BASE_URL}/assets/")
        assert url.endswith(kinds[kind])
        got = fetch(w, url)
        assert (got.status, got.headers["content-type"], got.body) == (200, kind, content)


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=5))
def test_what_goes_up_comes_down(contents):
    w = world()
    addresses = urls(w, *(data_url(content) for content in contents))
    assert len(set(addresses)) == len(contents)
    assert [fetch(w, url).body for url in addresses] == contents


def test_the_older_answer_has_another_key():
    w = world(upload_shape="urls")
    body = w.upload(data_url(PNG)).json()
    assert set(body) == {"urls"}
    assert fetch(w, body["urls"][0]).body == PNG


def test_the_same_file_twice_is_two_assets():
    w = world()
    assert len({*urls(w, data_url(PNG)), *urls(w, data_url(PNG))}) == 2


def test_an_asset_needs_no_key_and_has_no_other_name():
    w = world()
    (url,) = urls(w, data_url(PNG))
    assert fetch(w, url).status == 200
    assert fetch(w, url[:-1]).status == 404
    assert fetch(w, f"{BASE_URL}/assets/nothing.png").status == 404
    w.clock.now += 400 * 86400
    assert fetch(w, url).body == PNG


def test_an_upload_is_counted_and_not_billed():
    w = world(credits=1.0)
    (url,) = urls(w, data_url(PNG))
    fetch(w, url)
    fetch(w, url, authorization="Bearer x")
    w.call("HEAD", url.removeprefix(BASE_URL), key="")
    book = w.core.ledger.to_json()
    assert (book["submits"], book["billed"]) == (0, 0)
    assert w.core.balance(w.key) == (1_000_000, 0, 0)
    (upload,) = book["uploads"]
    assert (upload["name"], upload["size"]) == (url.rpartition("/")[2], len(PNG))
    assert (upload["content_type"], upload["time"]) == ("image/png", w.clock.now)
    assert (upload["downloads"], upload["downloads_with_key"]) == (2, 1)
    assert w.key not in str(book)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("https://host/picture.png", "not a base64 data URL"),
        ("data:image/png,plain", "not a base64 data URL"),
        ("data:;base64,AAAA", "not a base64 data URL"),
        ("data:image/png\r\nx-evil:1;base64,AAAA", "not a base64 data URL"),
        ("data:im\u00e4ge/png;base64,AAAA", "not a base64 data URL"),
        ("data:image/png;base64,AAA", "not valid base64"),
        ("data:image/png;base64,A*AA", "not valid base64"),
        ("data:image/png;base64,", "empty"),
        (5, "not a text"),
        (None, "not a text"),
    ],
)
def test_what_is_no_data_url_is_refused_and_nothing_of_the_batch_is_kept(bad, words):
    w = world()
    answer = w.upload(data_url(PNG), bad)
    assert answer.status == 400
    assert answer.json()["error"].startswith("data_urls[1]: ")
    assert words in answer.json()["error"]
    assert w.core.ledger.assets == []


def test_parameters_of_the_type_are_no_part_of_it():
    w = world()
    (url,) = urls(w, "data:text/plain;charset=utf-8;base64,aGVsbG8=")
    assert (fetch(w, url).headers["content-type"], fetch(w, url).body) == ("text/plain", b"hello")


@pytest.mark.parametrize("body", [{}, {"data_urls": []}, {"data_urls": data_url(PNG)}, [data_url(PNG)], b"{"])
def test_a_body_without_data_urls_is_refused(body):
    w = world()
    answer = w.call("POST", "/upload-asset", body)
    assert (answer.status, answer.json()) == (
        400,
        {"error": "data_urls must be a list of at least one data URL"},
    )
    assert w.upload(data_url(PNG), content_type="text/plain").status == 406


def test_a_file_may_have_as_many_bytes_as_the_limit_says():
    w = world(upload_limit=10)
    for size in (1, 9, 10):
        assert w.upload(data_url(b"x" * size)).status == 200
    for size in (11, 12, 13, 5000):
        answer = w.upload(data_url(b"x" * size))
        assert (answer.status, answer.json()["error"]) == (413, "data_urls[0]: larger than 10 bytes")


def test_a_job_can_start_from_an_uploaded_picture():
    w = world()
    (url,) = urls(w, data_url(PNG))
    # One host has several names: a picture stays reachable under the one that it was answered with.
    w.core.handle(_submit(w, url, "http://localhost:1"))
    request_id = w.submit(image=url)
    w.clock.now += 60
    assert w.status(request_id).json()["status"] == "COMPLETED"
    assert w.core.ledger.of(request_id).job.video.note == "from an image"
    assert [row["model_status"] for row in w.rows()] == ["COMPLETED", "COMPLETED"]


@pytest.mark.parametrize("key", ["image", "image_url", "first_frame_url", "first_frame_image"])
def test_a_picture_that_was_never_uploaded_makes_the_job_fail_later(key):
    w = world()
    slug = "ltx-video" if key == "image" else "seedance-2.0"
    request_id = w.submit(slug, **{key: f"{BASE_URL}/assets/0123456789abcdef.png"})
    elsewhere = w.submit(slug, **{key: "https://images.example.org/assets/0123456789abcdef.png"})
    w.clock.now += 60
    assert w.status(request_id).status == 422
    assert w.status(request_id).json()["error"] == "image URL download failed"
    assert w.status(elsewhere).json()["status"] == "COMPLETED"
    assert w.core.ledger.billed_requests() == [elsewhere]


def test_a_missing_picture_is_known_under_every_name_that_the_host_was_called_by():
    w = world()
    urls(w, data_url(PNG))
    w.core.handle(_submit(w, f"{BASE_URL}/assets/missing.png", "http://localhost:1"))
    w.clock.now += 60
    assert [row["error"] for row in w.rows()] == ["image URL download failed"]


def test_a_lost_answer_leaves_the_files_behind():
    w = world(faults=(FaultRule("upload", "before", "503"), FaultRule("upload", "after", "reset")))
    assert w.upload(data_url(PNG)).status == 503
    assert w.core.ledger.assets == []
    assert w.upload(data_url(PNG)).reset
    assert len(w.core.ledger.assets) == 1
    assert urls(w, data_url(PNG))
    assert len(w.core.ledger.assets) == 2
    assert [(event.endpoint, event.when) for event in w.core.ledger.faults] == [
        ("upload", "before"),
        ("upload", "after"),
    ]


def test_faults_reach_an_asset_by_its_name():
    w = world()
    one, other = urls(w, data_url(PNG), data_url(b"x"))
    name = one.rpartition("/")[2]
    w.core.set_faults([FaultRule("asset", "after", "truncate:5", match=name)])
    assert fetch(w, other).truncate is None
    assert fetch(w, one).truncate == 5


def _submit(w, image, base_url):
    headers = {"x-api-key": w.key, "content-type": "application/json"}
    body = json.dumps({"prompt": PROMPT, "image": image}).encode()
    return EmulatedRequest("POST", "/v2/ltx-video", headers, body, base_url)
