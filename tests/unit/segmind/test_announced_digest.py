from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx.segmind.announced_digest import announced_digest

CONTENT = b"a video"


def encoded(algorithm: str, content: bytes = CONTENT) -> str:
    return base64.b64encode(hashlib.new(algorithm, content).digest()).decode()


SHA, MD5 = encoded("sha256"), encoded("md5")


@pytest.mark.parametrize(
    ("headers", "algorithm"),
    [
        ({"repr-digest": f"sha-256=:{SHA}:"}, "sha256"),
        ({"repr-digest": f"sha-512=:{encoded('sha512')}:, sha-256=:{SHA}:"}, "sha256"),
        ({"digest": f"MD5={MD5},SHA-256={SHA}"}, "sha256"),
        ({"digest": f"md5={MD5}"}, "md5"),
        ({"x-goog-hash": f"crc32c=n03x6A==, md5={MD5}"}, "md5"),
        ({"x-amz-checksum-sha256": SHA, "content-md5": MD5}, "sha256"),
        ({"content-md5": MD5}, "md5"),
    ],
)
def test_a_digest_is_read_and_the_best_one_is_taken(headers: dict[str, str], algorithm: str) -> None:
    told = announced_digest(headers)
    assert told is not None
    assert told.algorithm == algorithm
    running = told.begin()
    running.update(CONTENT)
    assert running.digest() == told.value


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-digest": f"sha-256=:{SHA}:"},
        {"x-amz-checksum-sha256": f"{SHA}-3"},
        {"x-goog-hash": "crc32c=n03x6A=="},
        {"content-md5": SHA},
        {"content-md5": hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()},
        {"repr-digest": "sha-256=?1, sha-256"},
        {"digest": f"sha-256={SHA[:-4]}"},
        {"etag": f'"{MD5}"'},
    ],
    ids=[
        "none", "of a part", "of checksums", "other", "wrong size", "hex", "no value", "cut", "etag",
    ],
)  # fmt: skip
def test_what_is_no_digest_of_the_whole_file_is_passed_over(headers: dict[str, str]) -> None:
    assert announced_digest(headers) is None


NAMES = st.sampled_from(["repr-digest", "digest", "x-goog-hash", "x-amz-checksum-sha256", "content-md5"])


@given(st.dictionaries(NAMES, st.text() | st.just(f"md5={MD5},sha-256={SHA}")))
def test_no_header_is_too_strange(headers: dict[str, str]) -> None:
    told = announced_digest(headers)
    assert told is None or len(told.value) in (16, 32)


@given(st.binary(), st.sampled_from([lambda text: f"sha-256=:{text}:", lambda text: f"SHA-256={text}"]))
def test_the_digest_of_any_content_is_its_own_alone(content: bytes, form: Callable[[str], str]) -> None:
    told = announced_digest({"repr-digest": form(encoded("sha256", content))})
    assert told is not None
    assert told.value == hashlib.sha256(content).digest()
    assert told.value.hex() not in repr(told)
