"""History, uploads and assets on a real socket: queries, bytes, content types, sizes."""

from __future__ import annotations

import base64
import http.client
import json
import os
from urllib.parse import urlsplit

import pytest

from airflow_ltx.emulator import Settings, running_emulator
from airflow_ltx.emulator import server as server_module

KEYED = {"x-api-key": "SG_key", "content-type": "application/json"}
HISTORY = "/inference-request/request-history"


@pytest.fixture
def emulator():
    with running_emulator(Settings(queue_seconds=0.0, inference_seconds=0.0, prerender=False)) as running:
        yield running


def ask(emulator, method, target, body=None, headers=KEYED):
    connection = http.client.HTTPConnection(urlsplit(emulator.base_url).netloc, timeout=20)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, target.removeprefix(emulator.base_url), content, headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def submit(emulator, slug="wan-2.2-t2v-fast", **parameters):
    status, _, body = ask(emulator, "POST", f"/v2/{slug}", {"prompt": "a pond", **parameters})
    assert status == 200, body
    return json.loads(body)["request_id"]


def upload(emulator, content, kind="image/png"):
    url = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    status, _, body = ask(emulator, "POST", "/upload-asset", {"data_urls": [url]})
    assert status == 200, body
    return json.loads(body)["file_urls"][0]


def test_a_query_reaches_the_history_decoded(emulator):
    ids = [submit(emulator, "wan2.1-t2v"), submit(emulator)]
    assert ids[0] != ids[1]
    status, headers, body = ask(emulator, "GET", f"{HISTORY}?model_name=wan2%2E1&per_page=5&status=COMPLETED")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert [row["request_id"] for row in json.loads(body)["data"]] == [ids[0]]
    assert ask(emulator, "GET", f"{HISTORY}?per_page=0")[0] == 400
    assert json.loads(ask(emulator, "GET", f"{HISTORY}/{ids[1]}")[2])["request_id"] == ids[1]
    assert ask(emulator, "GET", f"{HISTORY}/a%2Fb")[0] == 404


def test_the_url_of_a_row_leads_to_the_video_an_hour_and_more_after(emulator):
    request_id = submit(emulator)
    emulator.advance(2 * 3600)
    assert ask(emulator, "GET", f"/v2/requests/{request_id}")[0] == 404
    url = json.loads(ask(emulator, "GET", f"{HISTORY}/{request_id}")[2])["generation_url"]
    status, headers, content = ask(emulator, "GET", url, headers={})
    assert (status, headers["content-type"], content[4:8]) == (200, "video/mp4", b"ftyp")


def test_every_output_of_a_request_is_a_film_of_its_own(emulator):
    emulator.configure(outputs=2)
    request_id = submit(emulator)
    rows = json.loads(ask(emulator, "GET", HISTORY)[2])["data"]
    assert [row["request_id"] for row in rows] == [request_id] * 2
    films = [ask(emulator, "GET", row["generation_url"], headers={})[2] for row in rows]
    assert [film[4:8] for film in films] == [b"ftyp"] * 2
    assert films[0] != films[1]


def test_an_asset_is_served_byte_for_byte_and_by_its_headers(emulator):
    content = os.urandom(200_000)
    url = upload(emulator, content, "image/webp")
    status, headers, got = ask(emulator, "GET", url, headers={})
    assert (status, headers["content-type"], got) == (200, "image/webp", content)
    status, headers, nothing = ask(emulator, "HEAD", url, headers={})
    assert (status, nothing, int(headers["content-length"])) == (200, b"", len(content))
    assert ask(emulator, "GET", f"{url}x", headers={})[0] == 404
    book = json.loads(ask(emulator, "GET", "/_emulator/ledger")[2])
    assert [(asset["size"], asset["downloads"]) for asset in book["uploads"]] == [(len(content), 1)]


def test_an_asset_can_be_cut_on_its_way(emulator):
    url = upload(emulator, b"x" * 1000)
    emulator.set_faults("asset:before:truncate:10")
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(emulator, "GET", url, headers={})
    assert caught.value.partial == b"x" * 10


def test_a_file_of_many_megabytes_goes_through_and_one_byte_too_many_does_not(emulator):
    limit = 30_000_000
    emulator.configure(upload_limit=limit)
    content = os.urandom(1000) * (limit // 1000)
    url = upload(emulator, content)
    assert ask(emulator, "GET", url, headers={})[2] == content
    too_large = f"data:image/png;base64,{base64.b64encode(content + b'x').decode()}"
    status, _, body = ask(emulator, "POST", "/upload-asset", {"data_urls": [too_large]})
    assert (status, json.loads(body)["error"]) == (413, f"data_urls[0]: larger than {limit} bytes")


def test_a_body_beyond_what_the_server_reads_is_refused_in_json(monkeypatch):
    monkeypatch.setattr(server_module, "_BODY_LIMIT", 1000)
    with running_emulator() as emulator:
        status, headers, body = ask(emulator, "POST", "/upload-asset", {"data_urls": ["x" * 2000]})
        assert (status, headers["content-type"]) == (413, "application/json")
        assert json.loads(body) == {"error": "Request body is too large"}
        assert emulator.ledger.assets == []


def test_a_missing_picture_of_this_server_fails_the_job(emulator):
    good, bad = upload(emulator, b"x"), f"{emulator.base_url}/assets/nothing.png"
    states = [ask(emulator, "GET", f"/v2/requests/{submit(emulator, image=url)}") for url in (good, bad)]
    assert [status for status, *_ in states] == [200, 422]
    assert json.loads(states[1][2])["error"] == "image URL download failed"


@pytest.mark.parametrize("form", ["iso", "iso_offset", "iso_naive", "epoch_s", "epoch_ms", "http_date"])
def test_the_synchronous_api_tells_all_it_knows_in_its_headers(emulator, form):
    emulator.configure(reset_format=form, requests_per_minute=1)
    status, headers, content = ask(emulator, "POST", "/v1/wan-2.2-t2v-fast", {"prompt": "a pond", "seed": 3})
    assert (status, headers["content-type"], content[4:8]) == (200, "video/mp4", b"ftyp")
    assert (headers["x-cost"], headers["x-remaining-credits"], headers["x-seed-value"]) == (
        "0.1",
        "99.9",
        "3",
    )
    assert float(headers["x-generation-time"]) == 0
    assert headers["x-request-id"] == emulator.ledger.accepted()[0].request_id
    assert headers["x-rate-limit-reset-at-utc"]
    assert "retry-after" not in headers
    status, refused, _ = ask(emulator, "GET", HISTORY)
    assert (status, refused["x-rate-limit-reset-at-utc"]) == (429, headers["x-rate-limit-reset-at-utc"])


def test_the_rate_limits_header_can_be_missing_from_the_synchronous_api(emulator):
    emulator.configure(reset_format="none")
    headers = ask(emulator, "POST", "/v1/wan-2.2-t2v-fast", {"prompt": "a pond"})[1]
    assert headers["x-request-id"]
    assert headers["x-rate-limit-reset-at-utc"] is None
