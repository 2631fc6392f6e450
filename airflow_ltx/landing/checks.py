"""What must be true of a file before it gets its name: pure, on its first bytes and on what is there."""

from __future__ import annotations

from airflow_ltx.exceptions import DestinationError, DownloadFailed
from airflow_ltx.landing.place import Found
from airflow_ltx.landing.wish import Wish
from airflow_ltx.segmind.media import container, is_message, is_page, sniff, told_type
from airflow_ltx.segmind.redact import without_query

_SAYS_NOTHING = (None, "application/octet-stream", "binary/octet-stream")
_HOLDS_ANYTHING = ("application/ogg", "application/mxf")


def media_type(beginning: bytes, served: str | None, announced: str | None) -> str | None:
    """The type of a file: as its host says, as its record says where the host does not know, and by its
    beginning where neither does, or where that is a video's and what they say is none."""
    seen = sniff(beginning) or container(beginning)
    said = [told_type(served), told_type(announced)]
    for told in said:
        if told not in _SAYS_NOTHING:
            # The containers of videos hold sounds, too.
            known = str(told).startswith(("video/", "audio/"))
            return told if known or seen is None or not seen.startswith("video/") else seen
    return seen or said[0] or said[1]


def check_media(beginning: bytes, content_type: str | None, media: str | None, url: str) -> None:
    """Check that a file is what was bought, by its type and its beginning.

    :param media: The kind that it must be, such as ``video``.
    :raises DownloadFailed: It is not. Transient: hosts send such things while they have trouble.
    """
    unexpected = media is not None or content_type in _SAYS_NOTHING
    if is_page(beginning) or (unexpected and is_message(beginning)):
        raise _not_a_file(url, "a page or a message")
    if media is None:
        return
    seen = sniff(beginning)
    if media == "video":
        # Hosts say of anything that it is what it should have been.
        held = container(beginning)
        seen = seen or (content_type if held in _HOLDS_ANYTHING else held)
    for told in (seen, content_type):
        if told not in _SAYS_NOTHING and not str(told).startswith(f"{media}/"):
            raise _not_a_file(url, str(told))
    if seen is None and (media == "video" or content_type in _SAYS_NOTHING):
        raise _not_a_file(url, f"something that is no {media} by its beginning, whatever its type")


def may_be_there(wish: Wish, found: Found, sha256: str | None, request_id: str | None = None) -> bool:
    """Whether a file that is there under the name may be replaced, or left if it is the same.

    :param sha256: Of its content, if that was looked at.
    :param request_id: The request that is landed, once there is one.
    """
    if wish.if_exists == "overwrite":
        return True
    if request_id is not None and (found.request_id == request_id or wish.destination.by_request):
        # Of a try that died after it, or of another process that came first.
        return True
    return wish.if_exists == "same" and (found.request_id in wish.own or sha256 in wish.own)


def occupied(uri: str, wish: Wish) -> DestinationError:
    """The error for a name that something else has."""
    error = DestinationError(
        f"{uri} is there already, and is not of this task instance; with if_exists={wish.if_exists!r} it is "
        "left as it is. Give the destination a name of its own for each run, such as {{ run_id }} in its "
        "folder, or set if_exists='overwrite'."
    )
    error.retryable = False
    return error


def contended(uri: str) -> DestinationError:
    """The error for a name that others are just being given, or that is just being deleted."""
    error = DestinationError(
        f"{uri} was taken each time it was to be given to the file, and then free again."
    )
    error.transient = True
    return error


def _not_a_file(url: str, what: str) -> DownloadFailed:
    return DownloadFailed(
        f"The file host sent {what} where a finished file was expected from {without_query(url)}. Nothing "
        "was saved.",
        transient=True,
    )
