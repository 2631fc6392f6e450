"""What a file host's answer means for a download: where it leads, whether it may have the file, what it
announces."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from airflow_ltx.exceptions import DownloadFailed
from airflow_ltx.segmind.announced import Announced, announced_by, no_file
from airflow_ltx.segmind.redact import without_query

if TYPE_CHECKING:
    import httpx


def redirected(url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
        scheme = urlsplit(target).scheme
    except ValueError:
        # Not chained: the text quotes parts of a URL that may be signed.
        raise DownloadFailed(
            f"The file host led from {without_query(url)} to what is no URL, and is not followed.",
            transient=False,
        ) from None
    if scheme not in ("http", "https") or (urlsplit(url).scheme == "https" and scheme == "http"):
        raise DownloadFailed(
            f"The file host led from {without_query(url)} to {without_query(target)}, which is not "
            "followed: a download never leaves https.",
            transient=False,
        )
    return target


def check_status(status: int, url: str, *, expected: int) -> None:
    if status == expected:
        return
    shown = without_query(url)
    if status in (408, 425, 429) or status >= 500:
        raise DownloadFailed(
            f"The file host answered HTTP {status} for {shown}. Downloading again is free.",
            transient=True,
            http_status=status,
        )
    raise DownloadFailed(
        f"The file host answered HTTP {status} for {shown}: the link is expired, or this network may not "
        "reach it. The Segmind console may still show the file.",
        transient=False,
        http_status=status,
    )


def check_size(size: int | None, max_bytes: int, url: str) -> None:
    if size is not None and size > max_bytes:
        raise DownloadFailed(
            f"{without_query(url)} has more than {max_bytes} bytes, which is max_bytes. Nothing was saved.",
            transient=False,
        )


def announced_in(response: httpx.Response) -> Announced:
    instead = no_file(response.headers)
    if instead is not None:
        raise DownloadFailed(
            f"The file host sent {instead} where a finished file was expected from "
            f"{without_query(str(response.url))}. Nothing was saved.",
            transient=True,
        )
    return announced_by(response.headers)
