"""One tree of errors for everything that can go wrong between a prompt and a stored video.

Imports no Airflow. Every message is written for the person who reads the task's log: what happened, whether
money was spent, what a retry will do, what to do now. Two facts are carried as data for code that decides:

``retryable``
    False where no retry can mend it (wrong key, no credits, bad parameters). Operators raise those to
    Airflow as ``AirflowFailException``.
``transient``
    True where the same *read* may well succeed a moment later. A wait goes on through these.
"""

from __future__ import annotations

from enum import StrEnum


class Trouble(StrEnum):
    """Why there was no answer."""

    NAME = "the host's name cannot be resolved"
    REFUSED = "nothing listens at the address"
    UNREACHABLE = "there is no way to the address"
    TIMEOUT = "there was no answer in time"
    CERTIFICATE = "the host's certificate is not trusted"
    TLS = "the host does not speak TLS as expected"
    PROXY = "the proxy did not let the call through"
    BROKEN = "the connection broke"


class SegmindError(Exception):
    """Base of all errors of this package.

    :param message: For people. Never holds a key, nor the query of a URL.
    :param request_id: The request concerned, once there is one.
    :param http_status: HTTP status code of the answer, if there was an answer.

    For those who explain the error in words of their own: ``said`` is what was heard of the service, or of
    the network, in a line, and ``trouble`` the kind of network trouble; None where there was no such thing.
    """

    retryable: bool = True
    transient: bool = False
    said: str | None = None
    trouble: Trouble | None = None

    def __init__(
        self, message: str, *, request_id: str | None = None, http_status: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.request_id = request_id
        self.http_status = http_status

    def say(self, message: str) -> None:
        """Put other words in place of the message."""
        self.message = message
        self.args = (message,)

    def add(self, sentence: str) -> None:
        """Say something more."""
        self.say(joined(self.message, sentence))


def joined(text: str, sentence: str) -> str:
    """Both; what others said may lack its full stop."""
    return f"{text}{'' if text.endswith('.') else '.'} {sentence}"


class ConfigurationError(SegmindError):
    """The connection or the arguments cannot work as they are. Nothing was sent."""

    retryable = False


class InvalidParameter(SegmindError, ValueError):
    """One or more model parameters are out of range. Nothing was sent, nothing is billed.

    :param problems: One sentence a field, each naming the field, the value and what is allowed.
    """

    retryable = False

    def __init__(self, problems: list[str], *, model: str | None = None) -> None:
        self.problems = list(problems)
        subject = f"parameters of {model}" if model else "parameters"
        super().__init__(f"Invalid {subject}: " + "; ".join(self.problems) + ". Nothing was sent or billed.")


class AuthenticationFailed(SegmindError):
    """401: the API key is missing, wrong or expired."""

    retryable = False


class AccessDenied(SegmindError):
    """403: this key's team may not use the model; or a proxy on the way refused (403, 407)."""

    retryable = False


class InsufficientCredits(SegmindError):
    """402, or 406 with a text about credits: the balance does not cover the model's estimated cost."""

    retryable = False


class SpendLimitReached(SegmindError):
    """406 with a text about a limit: the team's spend limit is used up."""

    retryable = False


class ModelNotFound(SegmindError):
    """404 on submit: no model has this slug."""

    retryable = False


class ModelRetired(SegmindError):
    """410: the model was withdrawn. Not billed."""

    retryable = False


class RequestRejected(SegmindError):
    """400, 405, 406 and the like: the service refused what was asked as it is. Not billed."""

    retryable = False


class RateLimited(SegmindError):
    """429: too many requests a minute for this account. Not billed.

    :param retry_after: Seconds until the service says it takes requests again; None if it did not say.
    """

    transient = True

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        request_id: str | None = None,
        http_status: int | None = 429,
    ) -> None:
        super().__init__(message, request_id=request_id, http_status=http_status)
        self.retry_after = retry_after


class ServiceUnavailable(SegmindError):
    """5xx, a reset or a timeout on a read. Reading again costs nothing."""

    transient = True


class NotSent(SegmindError):
    """The connection could not be made (DNS, refused, TLS, pool): nothing reached the service."""

    transient = True


class SubmitOutcomeUnknown(SegmindError):
    """A paid call was sent and its answer is lost, cut off, or a refusal that names a cost: it may be billed.

    Sending again could buy a second video, so nothing in this package does. ``request_id`` is there if the
    answer had named it before it was lost; the request history tells what became of that request. Operators
    look there by themselves where a record outlives the try; ``retryable`` is then True.
    """

    retryable = False


class RecordUnavailable(SegmindError):
    """The place where purchases are remembered between tries could not be read or written."""


class RecordConflict(SegmindError):
    """What is on record of an earlier try forbids to buy, and no retry changes that."""

    retryable = False


class UnreadableResponse(SegmindError):
    """The answer is not what the API promises: empty, HTML, truncated JSON, a redirect."""

    transient = True


class RequestNotFound(SegmindError):
    """404 on a request id: not this key's workspace, or older than the service keeps its records.

    From the request history, which forgets nothing: not this key's own account.
    """


class ResultExpired(SegmindError):
    """The request was made, and the service no longer keeps its record (one hour)."""

    retryable = False


class RequestFailed(SegmindError):
    """The service ran the request and it ended as FAILED.

    :param reason: The service's own words, None if it gave none.
    :param cost: What the service says it charged; None or 0 is the normal case: failures are not billed.
    """

    def __init__(
        self,
        message: str,
        *,
        request_id: str | None = None,
        reason: str | None = None,
        cost: float | None = None,
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.reason = reason
        self.cost = cost


class ContentBlocked(RequestFailed):
    """FAILED because the moderation refused the prompt or the picture. The same input fails again."""

    retryable = False


class OutputMissing(SegmindError):
    """The request is COMPLETED, and its result names no file. It was billed."""


class WaitTimeout(SegmindError):
    """The request is still running after the time the caller was ready to wait. It goes on, and is billed.

    ``request_id`` can be waited for again.
    """


class DownloadFailed(SegmindError):
    """The finished file could not be read from the file host. It was paid for and is still there.

    :param transient: Whether the same download may succeed a moment later.
    """

    def __init__(
        self,
        message: str,
        *,
        transient: bool,
        request_id: str | None = None,
        http_status: int | None = None,
    ) -> None:
        super().__init__(message, request_id=request_id, http_status=http_status)
        self.transient = transient


class DestinationError(SegmindError):
    """The destination cannot be written: malformed, unknown scheme, missing permission, disk full."""
