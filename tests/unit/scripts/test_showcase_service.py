from __future__ import annotations

import json
import time
from pathlib import Path

import av
import pytest

from showcase.service import REAL_URL, Service, configured_service
from showcase.stage import Terminated, exit_code, log_directory
from showcase.video import NotAVideoError, inspect


@pytest.mark.parametrize("environment", [{}, {"SEGMIND_API_KEY": " "}, {"SEGMIND_BASE_URL": "http://x"}])
def test_without_a_key_the_emulator_is_used(environment: dict[str, str]):
    assert configured_service(environment) is None


def test_with_a_key_the_real_service_or_the_one_that_was_named():
    service = configured_service({"SEGMIND_API_KEY": "k"})
    assert service is not None
    assert service.base_url == REAL_URL
    named = configured_service({"SEGMIND_API_KEY": "k", "SEGMIND_BASE_URL": "http://127.0.0.1:1/"})
    assert named is not None
    assert named.base_url == "http://127.0.0.1:1"


def test_the_key_is_in_the_connection_and_nowhere_else():
    service = Service(base_url="http://x", key="very-secret", emulated=False)
    assert json.loads(service.connection()) == {
        "conn_type": "segmind",
        "host": "http://x",
        "password": "very-secret",
    }
    assert "very-secret" not in repr(service) + service.announcement()
    assert "0.06 USD" in service.announcement()


def test_ways_out_have_the_codes_a_shell_expects():
    assert exit_code(KeyboardInterrupt()) == 130
    assert exit_code(Terminated()) == 143


def test_logs_of_several_failures_are_kept_apart():
    assert log_directory(Path("/o"), time.gmtime(0)) == Path("/o/logs-19700101-000000")


def test_a_video_is_decoded_to_its_last_frame(tmp_path: Path):
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(7):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode())
    facts = inspect(path)
    assert (facts.width, facts.height, facts.frames, facts.codec) == (64, 48, 7, "mpeg4")
    assert facts.seconds == pytest.approx(0.7)
    assert str(facts).startswith("mpeg4, 64x48, 7 frames, 0.7 s")


@pytest.mark.parametrize("content", [b"", b"<html>gone</html>"])
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "v.mp4"
    path.write_bytes(content)
    with pytest.raises(NotAVideoError, match="cannot be decoded"):
        inspect(path)
