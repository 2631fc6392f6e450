"""Uploads through the hook, against the emulator over real sockets."""

from __future__ import annotations

import io
import json

import httpx
import pytest
from PIL import Image

from airflow_ltx.emulator import Settings, running_emulator
from airflow_ltx.exceptions import AuthenticationFailed, InvalidParameter, RequestRejected, ServiceUnavailable
from airflow_ltx.hooks.segmind import SegmindHook
from airflow_ltx.segmind.upload import LARGEST_UPLOAD
from segmind_service import KEY, connection


def picture(form: str) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (8, 8), "orange").save(written, form)
    return written.getvalue()


@pytest.mark.parametrize("upload_shape", ["file_urls", "urls"])
def test_what_is_uploaded_can_be_read_by_everybody_under_its_url(segmind, tmp_path, upload_shape):
    segmind.configure(upload_shape=upload_shape)
    (tmp_path / "one.png").write_bytes(picture("PNG"))
    (tmp_path / "two").write_bytes(picture("JPEG"))
    urls = SegmindHook().upload(tmp_path / "one.png", str(tmp_path / "two"), picture("WEBP"), picture("GIF"))
    assert len(urls) == 4
    answers = [httpx.get(url) for url in urls]
    assert [answer.headers["content-type"] for answer in answers] == [
        "image/png", "image/jpeg", "image/webp", "image/gif",
    ]  # fmt: skip
    assert answers[0].content == (tmp_path / "one.png").read_bytes()
    assert answers[3].content == picture("GIF")
    assert segmind.ledger.submissions == []
    assert len(segmind.ledger.assets) == 4


async def test_the_same_for_async_code(segmind, tmp_path):
    (tmp_path / "one.png").write_bytes(picture("PNG"))
    (url,) = await SegmindHook().aupload(tmp_path / "one.png")
    assert [asset.content for asset in segmind.ledger.assets] == [picture("PNG")]
    assert url.endswith(segmind.ledger.assets[0].name)


def test_an_uploaded_picture_makes_a_video(segmind):
    hook = SegmindHook()
    (url,) = hook.upload(picture("PNG"))
    request = hook.submit("ltx-video", {"prompt": "a lighthouse at dusk", "image": url})
    assert hook.wait(request.request_id, 10, 0.05).outputs
    assert hook.history_entry(request.request_id).parameters["image"] == url


def test_a_declared_type_goes_before_what_the_bytes_say(segmind):
    (url,) = SegmindHook().upload(b"a sound that nobody knows", content_type="audio/x-own")
    assert httpx.get(url).headers["content-type"] == "audio/x-own"


def test_a_film_recorded_here_is_known_by_its_bytes(segmind, tmp_path):
    hook = SegmindHook()
    request = hook.submit("ltx-video", {"prompt": "a lighthouse at dusk"})
    film = httpx.get(hook.wait(request.request_id, 10, 0.05).outputs[0].url).content
    (url,) = hook.upload(film)
    assert httpx.get(url).headers["content-type"] == "video/mp4"


def test_many_megabytes_travel_in_one_body(segmind):
    content = picture("PNG") + bytes(LARGEST_UPLOAD - len(picture("PNG")))
    (url,) = SegmindHook().upload(content)
    assert int(httpx.head(url).headers["content-length"]) == LARGEST_UPLOAD
    with pytest.raises(InvalidParameter, match="32 MiB"):
        SegmindHook().upload(content + b"x")
    assert len(segmind.ledger.assets) == 1


@pytest.mark.parametrize(
    ("fault", "copies"), [("before:reset", 1), ("before:503", 1), ("after:reset", 2), ("after:503", 2)]
)
def test_a_lost_answer_is_repeated_and_may_leave_a_copy(segmind, fault, copies):
    segmind.add_faults(f"upload:{fault}")
    (url,) = SegmindHook().upload(picture("PNG"))
    assert httpx.get(url).content == picture("PNG")
    assert len(segmind.ledger.assets) == copies


def test_copies_do_not_pile_up(segmind):
    segmind.add_faults("upload:after:reset*inf")
    with pytest.raises(ServiceUnavailable, match="copies that were left cannot be deleted"):
        SegmindHook().upload(picture("PNG"))
    assert len(segmind.ledger.assets) == 3


def test_a_file_too_large_for_the_service_is_refused_once(segmind):
    segmind.configure(upload_limit=10)
    with pytest.raises(RequestRejected, match=r"larger than 10 bytes.*smaller ones") as caught:
        SegmindHook().upload(picture("PNG"))
    assert caught.value.http_status == 413
    assert not caught.value.retryable


def test_a_wrong_key_uploads_nothing_and_is_not_told(segmind, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", connection(segmind.base_url, "SG_no_such_key"))
    with pytest.raises(AuthenticationFailed) as caught:
        SegmindHook("other").upload(picture("PNG"))
    assert "SG_no_such_key" not in caught.value.message
    assert segmind.ledger.assets == []


def test_uploads_may_go_to_a_host_of_their_own(segmind, monkeypatch):
    with running_emulator(Settings(prerender=False)) as gateway:
        fields = json.loads(connection(gateway.base_url, KEY))
        fields["extra"] = json.dumps({"upload_url": segmind.base_url})
        monkeypatch.setenv("AIRFLOW_CONN_APART", json.dumps(fields))
        (url,) = SegmindHook("apart").upload(picture("PNG"))
        assert url.startswith(segmind.base_url)
        assert gateway.ledger.assets == []
