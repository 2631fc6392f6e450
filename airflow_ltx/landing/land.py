"""The landing routine: one finished file from the file host to its destination, on workers and triggerers."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Self
from uuid import UUID

from airflow_ltx.exceptions import DestinationError, DownloadFailed
from airflow_ltx.landing.checks import check_media, contended, may_be_there, media_type, occupied
from airflow_ltx.landing.destination import Destination
from airflow_ltx.landing.naming import NamedFile
from airflow_ltx.landing.place import Attributes, Found, Limits, Place, Upload, place_of
from airflow_ltx.landing.sidecar import ENDING, check_sidecar
from airflow_ltx.landing.wish import Wish
from airflow_ltx.segmind.announced_digest import Doubts
from airflow_ltx.segmind.clock import now
from airflow_ltx.segmind.download import open_download
from airflow_ltx.segmind.media import LOOKED_AT
from airflow_ltx.segmind.models import Output
from airflow_ltx.segmind.reach import Reach
from airflow_ltx.segmind.redact import without_query
from airflow_ltx.segmind.retry import DOWNLOAD, RetryPolicy, retrying
from airflow_ltx.segmind.stopping import sleeping, until

_log = logging.getLogger(__name__)

LANDING_LIMIT = 600.0
"""Seconds that a landing may take, with all its attempts."""

_READ_AGAIN = 16 * 1024**2
"""Bytes up to which a file is read when it is asked for: a clip has some 5 MB."""

_LOOKS = 3
"""At a name that is free to look at, and taken when it is to be given."""

LANDING = replace(
    DOWNLOAD,
    name="landing",
    allowed=lambda error: isinstance(error, DownloadFailed | DestinationError) and error.transient,
)
"""Whatever broke at either end, until the deadline."""


@dataclass(frozen=True, slots=True)
class Landed:
    """A file at its destination. ``size`` in bytes, ``sha256`` as hex."""

    uri: str
    size: int
    sha256: str
    content_type: str | None

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON primitives."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Read :meth:`to_json`'s dict; keys of a newer version are ignored."""
        return cls(told["uri"], told["size"], told["sha256"], told.get("content_type"))


def prepare(wish: Wish, *, look: bool, model: str | None = None, sidecar: bool = False) -> None:
    """Check, before money is spent, that the destination can be used from here.

    :param look: Also that nothing is in the way, where the file's name is known already.
    :param sidecar: One is wanted, too.
    :raises DestinationError: It cannot.
    """
    destination = wish.destination
    place = place_of(destination)
    place.check(*_samples(wish, model, sidecar))
    path = destination.known(model, wish.media)
    if not look or path is None or wish.if_exists == "overwrite":
        return
    found = place.find(path)
    if found is not None and not may_be_there(wish, found, _hash(place, path, found)):
        raise occupied(destination.uri(path), wish)
    if sidecar:
        check_sidecar(place, wish, path)


def is_landed(
    destination: Destination, uri: str, size: object, sha256: object, request_ids: Collection[str] = ()
) -> bool:
    """Whether what a landing put at ``uri`` is still there, unchanged, and where ``destination`` wants it.

    :param request_ids: Whose it may be. Where the storage has such a mark, a file that is larger than most
        clips is not read again: only what the storage was seen to keep as it was sent has one.
    """
    path = destination.path_of(uri)
    if path is None:
        return False
    place = place_of(destination)
    found = place.find(path)
    if found is None or found.size != size:
        return False
    if found.request_id in request_ids and found.size > _READ_AGAIN:
        return True
    return place.sha256(path) == sha256


def land(
    output: Output,
    wish: Wish,
    request_id: str,
    *,
    reach: Reach,
    model: str | None = None,
    number: int = 1,
    deadline: float | None = None,
    stop: threading.Event | None = None,
    rest: float = 0.0,
    policy: RetryPolicy = LANDING,
    doubts: Doubts | None = None,
    clock: Callable[[], float] = now,
    sleep: Callable[[float], None] | None = None,
) -> Landed:
    """Copy a finished file to its destination. Free of charge; repeated through broken downloads.

    :param request_id: Empty for a file that nobody knows the request of.
    :param reach: Which hosts the connection allows.
    :param number: Of the file among the request's outputs, from 1.
    :param deadline: On ``clock``, for all attempts together. Default: :data:`LANDING_LIMIT` from now.
    :param stop: Once it is set, the landing ends within a moment, however silent the file host is, and leaves
        nothing behind.
    :param rest: Seconds after each 64 KB, for who shares the interpreter.
    :param policy: Which failures are followed by another attempt.
    :param doubts: What earlier calls have left of them.
    :param sleep: For the pauses between attempts, and within one.
    :raises DownloadFailed: The file host did not give the whole file. Nothing partial is visible.
    :raises DestinationError: The destination refused. Nothing partial is visible.
    :raises Stopped: ``stop`` was set.
    """
    deadline = clock() + LANDING_LIMIT if deadline is None else deadline
    stop = stop or threading.Event()
    sleep = sleep or sleeping(stop)
    destination = wish.destination
    place = place_of(destination, Limits(deadline, stop, clock))
    doubts = doubts or Doubts()

    def attempt() -> Landed:
        source = open_download(
            output.url,
            reach=reach,
            deadline=deadline,
            max_bytes=wish.max_bytes,
            clock=clock,
            sleep=sleep,
            stop=stop,
            doubts=doubts,
        )
        with source as (announced, chunks):
            beginning, whole = _beginning(until(stop, chunks, rest=rest))
            content_type = media_type(beginning, announced.content_type, output.content_type)
            check_media(beginning, content_type, wish.media, output.url)
            path = destination.file_for(NamedFile(request_id, content_type, output.url, model, number))
            with place.upload(
                path, Attributes(content_type, request_id), overwrite=wish.if_exists == "overwrite"
            ) as upload:
                for chunk in whole:
                    upload.write(chunk)
                _check_length(output, announced.length, upload.size)
                _publish(place, wish, path, upload, request_id)
                written = upload.written()
        return Landed(destination.uri(path), written.size, written.sha256, content_type)

    try:
        landed: Landed = retrying(policy, deadline=deadline, clock=clock, sleep=sleep)(attempt)
    except (DownloadFailed, DestinationError) as error:
        error.request_id = request_id or None
        if isinstance(error, DestinationError) and error.retryable:
            error.add("Make room, or correct its permissions.")
        whose = f"The file of request {request_id} is paid for" if request_id else "What was to be landed"
        error.add(f"{whose}: {without_query(output.url)}.")
        raise
    return landed


def _check_length(output: Output, length: int | None, size: int) -> None:
    """Hold what came against the record.

    :param length: As the file host announced it, and kept to. It counts: whether records are exact, nobody
        has said.
    :raises DownloadFailed: There is only the record to tell a whole file, and it tells another one.
    """
    told = output.file_size
    if told is None or told < 1 or told == size:
        return
    if length is None:
        raise DownloadFailed(
            f"Downloading {without_query(output.url)} brought {size} bytes where {told} were announced. "
            "Nothing was saved; downloading again is free.",
            transient=True,
        )
    _log.warning(
        "The record of %s says that it has %s bytes, its file host sent all of %s. It is taken to be whole.",
        without_query(output.url),
        told,
        size,
    )


def _beginning(chunks: Iterator[bytes]) -> tuple[bytes, Iterable[bytes]]:
    """The first bytes, and all of them."""
    held: list[bytes] = []
    for chunk in chunks:
        held.append(chunk)
        if sum(map(len, held)) >= LOOKED_AT:
            break
    return b"".join(held)[:LOOKED_AT], itertools.chain(held, chunks)


def _publish(place: Place, wish: Wish, path: str, upload: Upload, request_id: str) -> None:
    """Give the file its name, heeding what has it already."""
    # Where files get no mark, an earlier try's is known by its bytes alone.
    unmarked = not (wish.destination.remote and request_id)
    for _ in range(_LOOKS):
        found = None if wish.if_exists == "overwrite" else place.find(path)
        if found is not None:
            written = upload.written()
            # Marked by another request, it may still have the same bytes: a model without chance makes them.
            perhaps = found.size == written.size and found.request_id != request_id
            looked = found.request_id is None or (perhaps and wish.if_exists == "same")
            sha256 = place.sha256(path) if looked else None
            own = wish.if_exists == "same" or (unmarked and found.request_id is None)
            if own and (found.size, sha256) == (written.size, written.sha256):
                return
            if not may_be_there(wish, found, sha256, request_id):
                raise occupied(wish.destination.uri(path), wish)
        seen = found is not None and (found.version or True)
        with suppress(FileExistsError):
            upload.publish(replace=wish.if_exists == "overwrite" or seen)
            return
    raise contended(wish.destination.uri(path))


def _samples(wish: Wish, model: str | None, sidecar: bool) -> list[str]:
    """Paths as long as this service's ids and types make them."""
    numbers = (1, 2) if wish.every else (1,)
    files = [NamedFile(str(UUID(int=0)), "video/webm", "", model, number) for number in numbers]
    paths = [wish.destination.file_for(file) for file in files]
    return [*paths, f"{paths[0]}{ENDING}"] if sidecar else paths


def _hash(place: Place, path: str, found: Found) -> str | None:
    """Of what is there, unless its mark says enough."""
    return None if found.request_id is not None else place.sha256(path)


def land_outputs(
    outputs: Sequence[Output],
    wish: Wish,
    request_id: str,
    *,
    reach: Reach,
    model: str | None = None,
    stop: threading.Event | None = None,
    rest: float = 0.0,
    latest: float | None = None,
    policy: RetryPolicy = LANDING,
    doubts: Doubts | None = None,
    landed: list[Landed] | None = None,
) -> tuple[Landed, ...]:
    """Land the first of a request's outputs, or each of them if ``wish.every`` says so; see :func:`land`.

    Only the first one is what was bought, and has to be of ``wish.media``: there may be a picture beside it.

    :param latest: Epoch second by which all of it has to be done. Default: :data:`LANDING_LIMIT` from now.
    :param landed: The first of them, which an earlier call has landed; it gets the others, each at once.
    """
    chosen = outputs if wish.every else outputs[:1]
    deadline = now() + LANDING_LIMIT if latest is None else latest
    landed = [] if landed is None else landed
    for number, output in enumerate(chosen[len(landed) :], len(landed) + 1):
        landed.append(
            land(
                output,
                wish if number == 1 else replace(wish, media=None),
                request_id,
                reach=reach,
                model=model,
                number=number,
                deadline=deadline,
                stop=stop,
                rest=rest,
                policy=policy,
                doubts=doubts,
            )
        )
    return tuple(landed)
