"""The synchronous run: one paid call that answers with the file.

There is no id to come back with before the answer, so an answer that is lost may be a file that is lost. What
the answer's headers had named by then is told.
"""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from airflow_ltx.exceptions import (
    DestinationError,
    DownloadFailed,
    InvalidParameter,
    SegmindError,
    SubmitOutcomeUnknown,
)
from airflow_ltx.segmind.announced_digest import Doubts
from airflow_ltx.segmind.answers import charge, failed_request, submit_error, text_of, whole_text
from airflow_ltx.segmind.clock import now
from airflow_ltx.segmind.coerce import shown
from airflow_ltx.segmind.download import open_download
from airflow_ltx.segmind.endpoints import LONGEST_TIMEOUT, ClientConfig
from airflow_ltx.segmind.losses import Heard, perhaps_bought
from airflow_ltx.segmind.media import SNIFFED, plain_type, sniff
from airflow_ltx.segmind.models import Metrics, Output, State, SyncResult
from airflow_ltx.segmind.numbers import integer_or_none, number_or_none
from airflow_ltx.segmind.outputs import DEEPEST, MEMBERS, find_outputs
from airflow_ltx.segmind.protocol import ApiResponse, named_id
from airflow_ltx.segmind.reach import Reach
from airflow_ltx.segmind.redact import without_query
from airflow_ltx.segmind.retry import DOWNLOAD, retrying
from airflow_ltx.segmind.stopping import sleeping, until
from airflow_ltx.segmind.whole_file import Written, check_writable, write_whole

_SHORTEST_BASE64 = 16
_UNTYPED = (None, "application/octet-stream", "binary/octet-stream")
_BEFORE_TEXT = b"\xef\xbb\xbf \t\r\n"
"""A byte order mark and blanks."""


@dataclass(frozen=True, slots=True)
class Made:
    """A file that was paid for: at its place, or with what has still to be brought there.

    :param inline: The file's bytes, which came as text within JSON.
    :param elsewhere: Where the file is, which JSON named.
    """

    result: SyncResult
    inline: bytes | None = None
    elsewhere: Output | None = None


def prepare(path: str | Path) -> Path:
    """Check, before money is spent, that ``path`` can be written.

    :raises DestinationError: It cannot. Nothing was sent.
    """
    target = Path(path)
    try:
        if b"\0" in os.fsencode(target):
            raise ValueError("a null byte is in it")
        if target.name in ("", "..") or target.is_dir():
            raise DestinationError(
                f"{target} is a folder; a synchronous run needs the path of its file. Nothing was written."
            )
        check_writable(target.parent, target.name)
    except DestinationError as error:
        error.add("Nothing was sent or billed.")
        raise
    except (OSError, ValueError) as error:
        raise DestinationError(
            f"{str(target)!r:.200} cannot be a file ({error}). Nothing was sent or billed."
        ) from error
    return target


def check_timeout(timeout: object) -> float:
    """:raises InvalidParameter: ``timeout`` is no number of seconds that a socket can wait."""
    if not isinstance(timeout, int | float) or not 0 < timeout <= LONGEST_TIMEOUT:
        raise InvalidParameter(
            [f"timeout is {shown(timeout)}; it must be seconds above 0 and up to {LONGEST_TIMEOUT:.0f}"]
        )
    return float(timeout)


def path_of(path: object) -> Path:
    """:raises InvalidParameter: ``path`` is no path."""
    if not isinstance(path, str | Path):
        raise InvalidParameter([f"path is {shown(path)}; it must be a str or a pathlib.Path"])
    return Path(path)


def is_untyped(headers: Mapping[str, str]) -> bool:
    """Whether the headers leave open what the body is."""
    return plain_type(headers.get("content-type", "")) in _UNTYPED


def is_text(beginning: bytes) -> bool | None:
    """Whether a body of no named kind is a page or JSON; None if more of it has to come."""
    said = beginning.lstrip(_BEFORE_TEXT)
    return said[:1] in (b"<", b"{", b"[") if said else None


def is_file(status: int, headers: Mapping[str, str]) -> bool:
    """Whether the body is the file, to be written as it comes.

    Where :func:`is_untyped` holds, its first bytes have to be asked as well.
    """
    kind = plain_type(headers.get("content-type", "")) or ""
    return status == 200 and not kind.startswith("text/") and not kind.endswith(("json", "xml"))


def read_run(response: ApiResponse, model: str, target: Path) -> Made:
    """What a run brought.

    :raises RequestFailed: It ended as FAILED.
    :raises SubmitOutcomeUnknown: No file can be found in the answer, and it may be billed.
    :raises SegmindError: One of the refusals, none of them billed.
    """
    headers = response.headers
    result = SyncResult(
        path=target,
        size=0,
        sha256="",
        request_id=named_id(headers),
        cost=_number(headers, "x-cost"),
        remaining_credits=_number(headers, "x-remaining-credits"),
        generation_time=_number(headers, "x-generation-time"),
        seed=integer_or_none(headers.get("x-seed-value")),
    )
    if response.file is not None:
        kind = plain_type(headers.get("content-type", ""))
        if kind in _UNTYPED:
            kind = sniff(response.body) or kind
        return Made(_at_its_place(result, response.file, kind))
    body = response.json_object()
    if body is not None and response.status in (200, 422) and State.read(body.get("status")) is State.FAILED:
        metrics = Metrics.read(body)
        metrics = replace(metrics, cost=charge(response) or metrics.cost)
        raise failed_request(result.request_id, text_of(response) or None, metrics)
    if body is not None and response.status == 200:
        nodes = [body.get(member) for member in MEMBERS]
        inline = next((found for node in nodes for found in _inline(node, DEEPEST)), None)
        if inline is not None:
            return Made(replace(result, content_type=inline[1]), inline=inline[0])
        found = find_outputs(*nodes)
        if found:
            return Made(replace(result, content_type=found[0].content_type), elsewhere=found[0])
    raise _no_file(response, model)


def complete(made: Made, config: ClientConfig, stop: threading.Event | None = None) -> SyncResult:
    """Bring the file to its place where it is not there yet. Free of charge; blocks.

    :param config: How far a download may go, where the file is elsewhere.
    :param stop: Once it is set, fetching ends at the next bytes, and leaves nothing behind.
    :raises DestinationError: The disk refused. The run is paid for.
    :raises DownloadFailed: The file host did not give the whole file. The run is paid for.
    """
    result = made.result
    try:
        if made.inline is not None:
            written = write_whole(result.path, [made.inline])
            return _at_its_place(result, written, result.content_type)
        if made.elsewhere is not None:
            deadline = now() + DOWNLOAD.budget
            stop = stop or threading.Event()
            controller = retrying(DOWNLOAD, deadline=deadline, sleep=sleeping(stop))
            fetched: SyncResult = controller(
                _fetch, made.elsewhere, result, Reach.of(config), deadline, stop, Doubts()
            )
            return fetched
    except (DestinationError, DownloadFailed) as error:
        if made.elsewhere is not None:
            error.add(f"The file is at {without_query(made.elsewhere.url)}.")
        raise paid_for(error, result.request_id) from error.__cause__
    return result


def paid_for(error: SegmindError, request_id: str | None) -> SegmindError:
    """``error``, with the truth about the money: it stands between a paid run and its file."""
    error.request_id = request_id
    error.retryable = False
    where = (
        f"Its id is {request_id}: SegmindHook.history_entry({request_id!r}) names its file."
        if request_id
        else "Its answer named no id: the request history (SegmindHook.history) names its file."
    )
    error.add(f"The run is made and billed; running it again buys another one. {where}")
    return error


def _no_file(response: ApiResponse, model: str) -> SegmindError:
    status, cost, request_id = response.status, charge(response), named_id(response.headers)
    # A refusal that names its price is none: what was made may have been lost on its way to the answer.
    if not (200 <= status < 300 or status >= 500 or status in (408, 499) or cost):
        refused = submit_error(response, model, request_id)
        refused.request_id = request_id
        return refused
    slow = (
        " The service ends synchronous runs that take longer than some 100 s: submit such models, and wait."
        if status >= 500
        else ""
    )
    return SubmitOutcomeUnknown(
        f"The synchronous run of {model} was sent and answered with HTTP {status} and no file: "
        f"{(text_of(response) or whole_text(response)).rstrip('. ')}."
        f"{f' It names a cost of ${cost:g}.' if cost else ''}{slow} "
        f"{perhaps_bought(Heard(status, request_id, cost=cost))}",
        request_id=request_id,
        http_status=status,
    )


def _fetch(
    output: Output,
    result: SyncResult,
    reach: Reach,
    deadline: float,
    stop: threading.Event,
    doubts: Doubts,
) -> SyncResult:
    source = open_download(
        output.url, reach=reach, deadline=deadline, sleep=sleeping(stop), stop=stop, doubts=doubts
    )
    with source as (announced, chunks):
        written = write_whole(result.path, until(stop, chunks))
    return _at_its_place(result, written, output.content_type or announced.content_type)


def _at_its_place(result: SyncResult, written: Written, content_type: str | None) -> SyncResult:
    return replace(result, size=written.size, sha256=written.sha256, content_type=content_type)


def _inline(node: Any, depth: int) -> Iterator[tuple[bytes, str | None]]:
    """Files that stand as base64 in JSON, with their kinds. Text that decodes to no known kind is none."""
    if isinstance(node, str):
        head, comma, rest = node.partition(",")
        declared = bool(comma) and head.startswith("data:") and head.endswith(";base64")
        text = rest if declared else node
        if len(text) < _SHORTEST_BASE64:
            return
        try:
            content = base64.b64decode(text, validate=True)
        except ValueError:
            return
        kind = sniff(content[:SNIFFED]) or (plain_type(head.removeprefix("data:")) if declared else None)
        if kind is not None:
            yield content, kind
    elif depth and isinstance(node, list | Mapping):
        for item in node if isinstance(node, list) else node.values():
            yield from _inline(item, depth - 1)


def _number(headers: Mapping[str, str], name: str) -> float | None:
    return number_or_none(headers.get(name))
