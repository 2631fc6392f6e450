"""Files for the service to read: as data URLs in one JSON body, out of which come public URLs."""

from __future__ import annotations

import base64
import stat
from collections.abc import Sequence
from pathlib import Path

from airflow_ltx.exceptions import InvalidParameter, RequestRejected, UnreadableResponse
from airflow_ltx.segmind.answers import unpaid_error
from airflow_ltx.segmind.coerce import shown
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.media import SNIFFED, plain_type, sniff, type_of_name
from airflow_ltx.segmind.outputs import is_http_url
from airflow_ltx.segmind.protocol import ApiRequest, ApiResponse
from airflow_ltx.segmind.redact import quote_service

LARGEST_UPLOAD = 32 * 1024 * 1024
"""Bytes of all files of one call. As base64 they are a third more, and in memory some four times as much."""

File = Path | str | bytes

_KEYS = ("file_urls", "urls")


def read_files(files: Sequence[File], content_type: str | None = None) -> list[bytes]:
    """The files as data URLs. Reads and encodes them, so not for event loops.

    :raises InvalidParameter: Naming every file that cannot be sent. Nothing was sent.
    """
    problems = [] if files else ["no file was given to upload"]
    declared = None if content_type is None else plain_type(content_type)
    if content_type is not None and declared is None:
        problems.append(f"content_type is {shown(content_type)}; it must be like image/png")
    urls: list[bytes] = []
    left = LARGEST_UPLOAD
    for position, file in enumerate(files, 1):
        name = (
            f"file {position} ({len(file)} bytes)"
            if isinstance(file, bytes)
            else quote_service(repr(str(file)))
        )
        try:
            content = _content(file, left)
        except OSError as error:
            problems.append(f"{name} cannot be read ({error.strerror or error})")
            continue
        except ValueError as error:
            problems.append(f"{name} {error}")
            continue
        left -= len(content)
        kind = declared or sniff(content[:SNIFFED]) or _named(file)
        if kind is None:
            problems.append(
                f"{name} is of no kind that is known by its first bytes or its name: give content_type"
            )
        elif not problems:
            urls.append(b"data:%s;base64,%s" % (kind.encode(), base64.b64encode(content)))
    if problems:
        raise InvalidParameter(problems)
    return urls


def upload_request(config: ClientConfig, data_urls: Sequence[bytes]) -> ApiRequest:
    """Store files; free of charge. Each sending makes copies of its own, which nobody can delete."""
    # Neither a media type nor base64 holds anything that JSON would have to escape.
    body = b'{"data_urls":["%s"]}' % b'","'.join(data_urls)
    return ApiRequest("POST", config.upload_asset_url, body)


def read_upload(response: ApiResponse, count: int) -> tuple[str, ...]:
    """The URLs, in the order of the files.

    :raises UnreadableResponse: There is not one URL for each file.
    :raises RequestRejected: The service refused the files as they are.
    """
    body = response.json_object() or {}
    urls = next((body[key] for key in _KEYS if isinstance(body.get(key), list)), None)
    if 200 <= response.status < 300 and urls is not None:
        if len(urls) == count and all(isinstance(url, str) and is_http_url(url) for url in urls):
            return tuple(urls)
        raise UnreadableResponse(
            f"The service answered an upload of {_files(count)} with {len(urls)} entries, which are not one "
            "URL for each. Copies may have been left that nobody knows the URL of. Uploading is free of "
            "charge.",
            http_status=response.status,
        )
    error = unpaid_error(response, doing=f"Uploading {_files(count)}", where="upload_url")
    if response.status in (400, 406, 413, 415, 422):
        raise RequestRejected(
            f"The service refused {_files(count)} ({error.said}). Uploading is free of charge. The same "
            "files will be refused again"
            + (": send smaller ones, or fewer at a time." if response.status == 413 else "."),
            http_status=response.status,
        )
    raise error


def _content(file: File, left: int) -> bytes:
    if isinstance(file, bytes):
        content = file
    elif isinstance(file, str | Path):
        if is_http_url(str(file)):
            raise ValueError("is a URL already: the service can fetch it as it is")
        content = _read(Path(file), left + 1)
    else:
        raise ValueError("is neither a path nor bytes")  # noqa: TRY004 - one list of problems
    if not content:
        raise ValueError("is empty")
    if len(content) > left:
        raise ValueError(
            f"is too large: all files of one upload may have {LARGEST_UPLOAD // 2**20} MiB together, since "
            "they travel as base64 in one JSON body"
        )
    return content


def _read(path: Path, most: int) -> bytes:
    """As many bytes, at the most: one more than may be sent tells that there is too much."""
    try:
        mode = path.stat().st_mode
    except ValueError:
        why = "a null byte is in its name" if "\0" in str(path) else "no file can have such a name"
        raise ValueError(f"cannot be read ({why})") from None
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        # A FIFO is waited for without end, and a device may have none.
        raise ValueError("is no regular file")
    with path.open("rb") as opened:
        return opened.read(most)


def _named(file: File) -> str | None:
    return None if isinstance(file, bytes) else type_of_name(str(file))


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
