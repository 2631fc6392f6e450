"""Copy the file of a request, or of a URL, that exists to where the author keeps files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout

from airflow_ltx.exceptions import DownloadFailed, InvalidParameter, SegmindError
from airflow_ltx.failure import failing
from airflow_ltx.links.segmind import SegmindOutputLink
from airflow_ltx.operators import _arguments
from airflow_ltx.operators._consumers import TellsConsumers
from airflow_ltx.operators._destination import (
    check_literal_destination,
    check_mapped,
    destination_of,
    wish_of,
)
from airflow_ltx.request import GivenRequest
from airflow_ltx.segmind.clock import now
from airflow_ltx.segmind.coerce import shown
from airflow_ltx.segmind.redact import credentials_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_ltx.hooks.segmind import SegmindHook
    from airflow_ltx.landing.wish import Wish
    from airflow_ltx.segmind.endpoints import ClientConfig
    from airflow_ltx.segmind.models import RequestResult
    from airflow_ltx.triggers.event import RequestEvent

DEFAULT_TIMEOUT = 1200.0


class SegmindToObjectStorageOperator(TellsConsumers):
    """Copy the file of a request that something else submitted, or of a URL, to object storage or a disk.
    **Submits nothing and pays nothing**, however often it runs.

    A request that is still running is waited for in the triggerer, which copies its file to a remote
    destination at once when it completes. What is there already, the worker copies. A request of which the
    service has no record any more is looked up in the account's history.

    **A retry** does not copy again what is at the destination with the request's mark, or with the same
    bytes. Permanent ends fail for good: the request failed, nobody knows its file any more, the file host
    refuses the URL, the name is somebody else's file.

    :param request_id: The id, or the return value of the task that submitted the request
        (``submit.output``). (templated)
    :param url: The file's URL, in place of a request. Only hosts that the connection allows are asked, and
        they do not get its key. (templated; the query of a URL is masked)
    :param destination: URI to copy the file to: with a trailing ``/`` a folder, in which the file is named
        ``<request_id>``, or as the URL has it, plus the ending of its type; otherwise the file itself. The
        names may hold ``{request_id}``, ``{model}``, ``{number}`` and ``{ext}``. (templated)
    :param destination_conn_id: Connection for a remote destination, if its URI names none. (templated)
    :param segmind_conn_id: Connection whose key submitted the request. (templated)
    :param model: The model's slug for ``{model}``, where ``request_id`` does not tell it. (templated)
    :param if_exists: When the file's name is taken: ``"same"`` (default: fine if it is this request's file or
        has the same bytes, else an error), ``"overwrite"``, or ``"error"`` (nothing may be there but this
        very request's file).
    :param land_all: Copy each file of a request that has several, not only the first; the others get their
        number in the name.
    :param deferrable: Wait in the triggerer. False holds the worker slot for the whole wait.
    :param poll_interval: Seconds between looks. Default: by what the model usually takes.
    :param timeout: Seconds from the start of the try until the wait is given up. The request goes on.

    Returns the dict of :class:`~airflow_ltx.operators.segmind.SegmindSubmitOperator`; what the transfer
    cannot know is null, URLs have no query, and ``reused`` says that the file was there already. Pushes
    ``request_id``, ``output_url`` and ``output_uri``.
    """

    template_fields: Sequence[str] = (
        "request_id",
        "url",
        "destination",
        "destination_conn_id",
        "segmind_conn_id",
        "model",
    )
    operator_extra_links = (SegmindOutputLink(),)
    ui_color = "#e8e4fb"

    media: ClassVar[str | None] = None
    """The kind of file that may be copied, such as ``video``; None takes any."""

    def __init__(
        self,
        *,
        destination: str,
        request_id: str | Mapping[str, Any] | None = None,
        url: str | None = None,
        destination_conn_id: str | None = None,
        segmind_conn_id: str = "segmind_default",
        model: str | None = None,
        if_exists: str | None = None,
        land_all: bool = False,
        deferrable: bool = True,
        poll_interval: float | timedelta | None = None,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.url = url
        self.destination = destination
        self.destination_conn_id = destination_conn_id
        self.segmind_conn_id = segmind_conn_id
        self.model = model
        self.if_exists = if_exists
        self.land_all = land_all
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.output_link: str | None = None
        # As for the operators: what is mapped is checked by execute(), and fails for good there.
        if not getattr(self, "_BaseOperator__from_mapped", False):
            try:
                self._check_arguments()
                self._check_literals()
            except SegmindError as error:
                error.say(f"Task {self.task_id!r}: {error.message}")
                raise

    @property
    def url(self) -> str | None:
        """The URL to copy from. Its query may be a credential, and Airflow keeps and shows what was rendered:
        masked, if it is told so before."""
        return self._url

    @url.setter
    def url(self, value: str | None) -> None:
        self._url = value
        if isinstance(value, str) and _arguments.is_literal(value, ()):
            for secret in credentials_of(value):
                from airflow.sdk.log import mask_secret

                mask_secret(secret)

    def execute(self, context: Context) -> Any:
        """Look once; copy what is there, or wait for it."""
        with self._failing():
            self._check_arguments()
            if self.url is not None:
                return self._copy_url(context)
            given = GivenRequest.read(self.request_id)
            request = replace(given, model=self._model or given.model)
            context["ti"].xcom_push(key="request_id", value=request.request_id)
            wish, hook = self._prepared(context), self._hook()
            return self._finish(context, hook, wish, request, self._wait(hook, wish, request))

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Resume after the trigger's event."""
        from airflow_ltx.collect import look_again
        from airflow_ltx.triggers.event import RequestEvent

        with self._failing():
            told = RequestEvent.from_payload(event)
            request = GivenRequest(told.request_id, told.model, told.submitted_at)
            wish, hook = self._wish(), self._hook()
            return self._finish(context, hook, wish, request, look_again(hook, request, told, self.log))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume; if the triggerer did not answer, look at the request before giving up."""
        from airflow_ltx.triggers.astray import arguments_of
        from airflow_ltx.triggers.deferral import unanswered

        try:
            return super().resume_execution(
                next_method, arguments_of(self, next_method, next_kwargs), context
            )
        except (TaskDeferralTimeout, TaskDeferralError) as error:
            with self._failing():
                event = unanswered(GivenRequest.read(self.request_id), error).to_payload()
            return self.execute_complete(context, event)

    def on_kill(self) -> None:
        """The task's process is being ended."""
        self.log.info("What is being made at the service goes on; the transfer can be run again at no cost.")

    def _check_arguments(self) -> None:
        """Raise for what makes no sense, whatever the templates will say."""
        _arguments.seconds("timeout", self.timeout)
        _arguments.seconds("poll_interval", self.poll_interval)
        _arguments.one_of("if_exists", self.if_exists, (None, "same", "overwrite", "error"))
        problems = []
        if (self.request_id is None) == (self.url is None):
            what = "neither of them" if self.url is None else "both of them"
            problems.append(f"request_id and url are two ways to name a file, and {what} is given")
        elif self.url is not None and self.land_all:
            problems.append("land_all is given with a url, which is one file")
        if self.destination is None:
            problems.append("destination is None; it must be a URI such as s3://my_conn@bucket/videos/")
        if problems:
            raise InvalidParameter(problems)

    def _check_literals(self) -> None:
        """Raise for values that are wrong already in the DAG file."""
        check_literal_destination(self.destination, self.destination_conn_id, None)
        if self.request_id is not None and _arguments.is_literal(self.request_id, ()):
            GivenRequest.read(self.request_id)
        if self.url is not None and _arguments.is_literal(self.url, ()):
            self._checked_url()

    def _checked_url(self) -> str:
        from airflow_ltx.segmind.outputs import is_http_url

        url = self.url.strip() if isinstance(self.url, str) else self.url
        if not isinstance(url, str) or not is_http_url(url):
            raise InvalidParameter([f"url is {shown(url)}; it must be the http or https URL of one file"])
        return url

    @property
    def _model(self) -> str | None:
        # "None" is what a template over an absent value renders.
        return self.model if self.model not in ("", "None") else None

    def _hook(self) -> SegmindHook:
        from airflow_ltx.hooks.segmind import SegmindHook

        return SegmindHook(str(self.segmind_conn_id))

    def _wish(self) -> Wish:
        wish = wish_of(
            destination_of(str(self.destination), self.destination_conn_id, None),
            {"if_exists": self.if_exists, "media": self.media, "land_all": self.land_all},
        )
        assert wish is not None, "there is a destination"  # noqa: S101
        return wish

    def _prepared(self, context: Context) -> Wish:
        """The wish, once the destination is known to be usable from here."""
        from airflow_ltx.landing.land import prepare

        wish = self._wish()
        check_mapped(context, wish.destination)
        # What has the name already is compared with the file, once there is one.
        prepare(wish, look=False)
        return wish

    def _wait(self, hook: SegmindHook, wish: Wish, request: GivenRequest) -> RequestEvent:
        """Wait for the end of a request: here, or in the triggerer if one look does not see it."""
        from airflow_ltx.collect import wait_on_worker
        from airflow_ltx.segmind.polling import Ending

        timeout = _arguments.seconds("timeout", self.timeout) or DEFAULT_TIMEOUT
        interval = _arguments.seconds("poll_interval", self.poll_interval)
        deadline = now() + timeout
        told = wait_on_worker(
            hook, request, deadline=0.0 if self.deferrable else deadline, interval=interval, log=self.log
        )
        if self.deferrable and told.status == Ending.TIMEOUT.value:
            self._defer(hook, wish, request, deadline, interval)
        return told

    def _defer(
        self, hook: SegmindHook, wish: Wish, request: GivenRequest, deadline: float, interval: float | None
    ) -> NoReturn:
        from airflow_ltx.triggers.astray import wait_for
        from airflow_ltx.triggers.deferral import backstop, check_storable, request_trigger

        trigger = request_trigger(
            request,
            str(self.segmind_conn_id),
            deadline=deadline,
            poll_interval=interval,
            landing=wish.to_json() if wish.destination.remote else None,
        )
        check_storable(trigger)
        self.defer(**wait_for(trigger, "execute_complete", backstop(deadline, hook.config.timeout)))

    def _copy_url(self, context: Context) -> dict[str, Any]:
        from airflow_ltx.landing.naming import name_of
        from airflow_ltx.segmind.models import Output, RequestResult
        from airflow_ltx.segmind.polling import Ending
        from airflow_ltx.triggers.event import RequestEvent

        url, config = self._checked_url(), self._hook().config
        wish = self._prepared(context)
        wish = replace(wish, destination=wish.destination.named(name_of(url)))
        try:
            return self._land(
                context,
                config,
                wish,
                GivenRequest("", self._model),
                RequestResult("", (Output(url),)),
                RequestEvent(Ending.COMPLETED.value, ""),
            )
        except DownloadFailed as error:
            # No later try gets another URL, as it would for a request.
            error.retryable = error.transient
            raise

    def _finish(
        self, context: Context, hook: SegmindHook, wish: Wish, request: GivenRequest, told: RequestEvent
    ) -> dict[str, Any]:
        from airflow_ltx.collect import collect

        return self._land(context, hook.config, wish, request, collect(hook, request, told), told)

    def _land(
        self,
        context: Context,
        config: ClientConfig,
        wish: Wish,
        request: GivenRequest,
        result: RequestResult,
        told: RequestEvent,
    ) -> dict[str, Any]:
        """Publish where the file is, land it, and publish where it is now."""
        from airflow_ltx.landing.again import found_there
        from airflow_ltx.operators._landing import land_result
        from airflow_ltx.outcome import Outcome

        outcome = Outcome.of(
            request,
            result.without_queries(),
            told.metrics,
            completed_at=told.completed_at,
            reused=False,
            sent_seed=None,
        )
        self.output_link = None if result.outputs[0].signed else result.outputs[0].url
        push = context["ti"].xcom_push
        push(key="output_url", value=outcome.outputs[0].url)
        there = (
            ()
            if told.landed or not request.request_id
            else found_there(result.outputs, wish, request.request_id, model=request.model)
        )
        files = there or land_result(wish, request, result, told, config, self.log)
        outcome = replace(outcome.with_files(files), reused=bool(there))
        xcom = outcome.to_xcom()
        push(key="output_uri", value=xcom["uri"])
        if self.land_all:
            xcom["files"] = outcome.files_to_xcom()
            push(key="output_uris", value=[file["uri"] for file in xcom["files"]])
        self.log.info("Done: %s bytes are at %s.", xcom["bytes"], xcom["uri"])
        self._tell_outlets(context.get("outlet_events"), xcom)
        return xcom

    def _failing(self) -> AbstractContextManager[None]:
        return failing("transfer", self.log)
