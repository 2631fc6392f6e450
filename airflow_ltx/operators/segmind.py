"""Buy one run of any Segmind model, wait without holding a worker, keep its file."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout

from airflow_ltx.exceptions import InvalidParameter, SegmindError
from airflow_ltx.links.segmind import SegmindOutputLink
from airflow_ltx.operators import _arguments
from airflow_ltx.operators._destination import check_literal_destination, destination_of
from airflow_ltx.operators._lifecycle import fail_after_purchase, fail_before_purchase
from airflow_ltx.segmind.coerce import Problem, check_slug, json_object

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_ltx.landing.destination import Destination
    from airflow_ltx.operators._attempt import Attempt
    from airflow_ltx.segmind.models import SubmittedRequest
    from airflow_ltx.triggers.event import RequestEvent
    from airflow_ltx.triggers.segmind import SegmindRequestTrigger

DEFAULT_TIMEOUT = 1200.0


class SegmindSubmitOperator(BaseOperator):
    """Submit a request to a Segmind model, wait for it, and keep its file.

    **Billed:** one run of the model, when it completes; a FAILED run is not billed. The submit is sent again
    only if it provably never arrived or was refused by a rate limit.

    **A retry** on Airflow 3.3 and later takes up the request that an earlier try bought, whatever state it is
    in; only after a FAILED request does it buy a new one. On Airflow 3.2 nothing outlives a try: a retry buys
    again, and the log of the failed try has the id of the earlier request. A submit whose answer was lost is
    not retried on any version, since it may have been billed.

    **Clearing** a task that succeeded buys a new run. **Ending** a task stops nothing at the service, which
    has no cancel.

    :param model: The model's slug. (templated)
    :param parameters: The model's parameters, sent as they are. (templated)
    :param segmind_conn_id: Connection of type ``segmind``. (templated)
    :param destination: URI to copy the file to: with a trailing ``/`` a folder, in which the file is named
        ``<request_id>`` plus the ending of its type; otherwise the file itself, replaced if it exists. This
        version lands to ``file://``, on the worker that finishes the task. (templated)
    :param destination_conn_id: Connection for remote destinations. (templated)
    :param land_in: Where the file is copied: ``"worker"``, the only place for ``file://``.
    :param deferrable: Wait in the triggerer. False holds the worker slot for the whole wait.
    :param poll_interval: Seconds between looks. Default: spaced by the request's age, 5 s at first.
    :param timeout: Seconds from the submit until the wait is given up. The request goes on, and a retry takes
        it up, for as long again. ``execution_timeout`` does not reach a deferred task.
    :param wait_for_completion: False ends the task after the submit; its return value has the id.

    Returns a dict, null where something is unknown: ``request_id``, ``model``, ``status``, ``output_url``,
    ``outputs``, ``uri``, ``bytes``, ``sha256``, ``content_type``, ``seed``, ``cost`` (US dollars),
    ``queue_time``, ``inference_time`` (seconds), ``submitted_at``, ``completed_at``, ``expires_at`` (ISO
    8601, UTC), ``reused``. Pushes ``request_id`` right after the submit, ``output_url`` and ``output_uri``
    at the end.
    """

    template_fields: Sequence[str] = (
        "model",
        "parameters",
        "segmind_conn_id",
        "destination",
        "destination_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"parameters": "json"}
    operator_extra_links = (SegmindOutputLink(),)
    ui_color = "#e8e4fb"

    published: ClassVar[Mapping[str, str]] = {"output_url": "output_url", "output_uri": "uri"}
    """XCom keys besides the return value, and the key of the return value that each repeats."""

    def __init__(
        self,
        *,
        model: str,
        parameters: Mapping[str, Any] | None = None,
        segmind_conn_id: str = "segmind_default",
        destination: str | None = None,
        destination_conn_id: str | None = None,
        land_in: str | None = None,
        deferrable: bool = True,
        poll_interval: float | timedelta | None = None,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        wait_for_completion: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.parameters = parameters
        self.segmind_conn_id = segmind_conn_id
        self.destination = destination
        self.destination_conn_id = destination_conn_id
        self.land_in = land_in
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.wait_for_completion = wait_for_completion
        self.output_link: str | None = None
        self._attempt: Attempt | None = None
        # A mapped task is built on the worker, where an error here would be retried for nothing; execute()
        # checks the same things there, and fails for good.
        if not getattr(self, "_BaseOperator__from_mapped", False):
            try:
                self._check_arguments()
                self._check_literals()
            except SegmindError as error:
                # Airflow shows the text of an import error, and little of where it comes from.
                error.say(f"Task {self.task_id!r}: {error.message}")
                raise

    def execute(self, context: Context) -> Any:
        """Buy one request, or take up that of an earlier try; then defer or wait."""
        attempt = self._begin(context)
        try:
            parameters, destination = self._checked(attempt)
            if destination is not None:
                from airflow_ltx.landing.land import prepare

                prepare(destination)
            if self.deferrable and self.wait_for_completion:
                self._check_storable()
            self._advise()
            request = attempt.obtain(self.model, parameters)
        except SegmindError as error:
            fail_before_purchase(error, attempt, self.log)
        if not self.wait_for_completion:
            from airflow_ltx.operators._finish import submitted_only

            attempt.settle()
            result = self._result(submitted_only(attempt, request))
            self._publish(attempt, result)
            return result
        return self._wait(attempt, request, parameters, destination)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Resume after the trigger's event: land the file, publish the result."""
        from airflow_ltx.collect import look_again
        from airflow_ltx.durability.record import fingerprint
        from airflow_ltx.segmind.models import SubmittedRequest
        from airflow_ltx.triggers.event import RequestEvent

        told = RequestEvent.from_payload(event)
        attempt = self._begin(context)
        request = SubmittedRequest(
            told.request_id,
            told.model or self.model,
            time.time() if told.submitted_at is None else told.submitted_at,
        )
        attempt.resume(request, None)
        try:
            parameters, destination = self._checked(attempt)
            attempt.resume(request, fingerprint(self.model, parameters))
            told = look_again(attempt.hook, request, told, self.log)
        except SegmindError as error:
            fail_after_purchase(error, attempt, request.request_id)
        return self._finish(attempt, request, told, parameters, destination)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume; if the triggerer did not answer, look at the request before giving up: it is paid for."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralTimeout, TaskDeferralError) as error:
            from airflow_ltx.triggers.deferral import unanswered

            request = self._begin(context).deferred_request(self.task_id, self.model)
            if request is None:
                raise
            return self.execute_complete(context, unanswered(request, error).to_payload())

    def on_kill(self) -> None:
        """The task's process is being ended. Says what becomes of the request."""
        from airflow_ltx.segmind.narrate import COMPLETED_ANYWAY, MAY_BE_BOUGHT, NO_CANCEL

        attempt = self._attempt
        if attempt is not None and attempt.request is not None:
            message = COMPLETED_ANYWAY if attempt.completed else NO_CANCEL
            self.log.warning(message, attempt.request.request_id)
        elif attempt is not None and attempt.submitting:
            self.log.warning(MAY_BE_BOUGHT)

    def _begin(self, context: Context) -> Attempt:
        from airflow_ltx.hooks.segmind import SegmindHook
        from airflow_ltx.operators._attempt import Attempt

        try:
            attempt = Attempt.begin(context, SegmindHook(str(self.segmind_conn_id)), self.log)
        except SegmindError as error:
            fail_before_purchase(error, None, self.log)
        self._attempt = attempt
        return attempt

    def _checked(self, attempt: Attempt) -> tuple[dict[str, Any], Destination | None]:
        """Check what was rendered, and that the connection can work."""
        self._check_arguments()
        parameters = self._request_parameters()
        destination = destination_of(self.destination, self.destination_conn_id, self.land_in)
        attempt.hook.get_conn()
        return parameters, destination

    def _wait(
        self,
        attempt: Attempt,
        request: SubmittedRequest,
        parameters: dict[str, Any],
        destination: Destination | None,
    ) -> Any:
        """Wait for the request: in the triggerer, or here."""
        from airflow_ltx.collect import wait_on_worker
        from airflow_ltx.segmind.polling import Ending

        timeout = _arguments.seconds("timeout", self.timeout) or DEFAULT_TIMEOUT
        interval = _arguments.seconds("poll_interval", self.poll_interval)
        deadline = request.submitted_at + timeout
        if attempt.reused:
            # An earlier try's request is often over by now: look before paying for a deferral.
            told = wait_on_worker(attempt.hook, request, deadline=0.0, interval=interval, log=self.log)
            if told.status not in (Ending.TIMEOUT.value, Ending.DENIED.value):
                return self._finish(attempt, request, told, parameters, destination)
            deadline = time.time() + timeout
        if self.deferrable:
            self._defer_until(attempt, request, deadline)
        told = wait_on_worker(attempt.hook, request, deadline=deadline, interval=interval, log=self.log)
        return self._finish(attempt, request, told, parameters, destination)

    def _defer_until(self, attempt: Attempt, request: SubmittedRequest, deadline: float) -> NoReturn:
        from airflow_ltx.triggers.deferral import backstop

        self.defer(
            trigger=self._trigger(request, deadline),
            method_name="execute_complete",
            timeout=backstop(deadline, attempt.hook.config.timeout),
        )

    def _finish(
        self,
        attempt: Attempt,
        request: SubmittedRequest,
        told: RequestEvent,
        parameters: dict[str, Any],
        destination: Destination | None,
    ) -> Any:
        from airflow_ltx.operators._finish import finish

        result = self._result(
            finish(
                attempt,
                request,
                told,
                destination=destination,
                sent_seed=parameters.get("seed"),
                publish=lambda known: self._publish(attempt, self._result(known)),
            )
        )
        # Last: a try that dies before this point is followed by one that takes the request up again.
        attempt.settle()
        return result

    def _publish(self, attempt: Attempt, result: dict[str, Any]) -> None:
        self.output_link = result.get("output_url")
        attempt.push({key: result.get(source) for key, source in self.published.items()})

    def _advise(self) -> None:
        """Log what the author should know about the request; a subclass may have something to say."""

    def _result(self, result: dict[str, Any]) -> dict[str, Any]:
        """The return value; a subclass may add keys."""
        return result

    def _trigger(self, request: SubmittedRequest, deadline: float) -> SegmindRequestTrigger:
        from airflow_ltx.triggers.deferral import request_trigger

        interval = _arguments.seconds("poll_interval", self.poll_interval)
        return request_trigger(request, str(self.segmind_conn_id), deadline=deadline, poll_interval=interval)

    def _check_storable(self) -> None:
        from airflow_ltx.segmind.models import SubmittedRequest
        from airflow_ltx.triggers.deferral import check_storable

        check_storable(self._trigger(SubmittedRequest("0" * 32, self.model, time.time()), time.time()))

    def _check_arguments(self) -> None:
        """Raise for what makes no sense, whatever the templates will say."""
        _arguments.seconds("timeout", self.timeout)
        _arguments.seconds("poll_interval", self.poll_interval)
        _arguments.one_of("land_in", self.land_in, (None, "triggerer", "worker"))
        problems = []
        if self.destination is None:
            problems += [
                f"{name} is given without a destination"
                for name in ("destination_conn_id", "land_in")
                if getattr(self, name) is not None
            ]
        elif not self.wait_for_completion:
            problems.append("destination is given with wait_for_completion=False: nothing would wait for it")
        if problems:
            raise InvalidParameter(problems)

    def _check_literals(self) -> None:
        """Raise for values that are wrong already in the DAG file."""
        if _arguments.is_literal(self.parameters, self.template_ext):
            self._request_parameters()
        if _arguments.is_literal(self.model, ()):
            check_slug(self.model)
        self._check_literal_destination()

    def _check_literal_destination(self) -> None:
        check_literal_destination(self.destination, self.destination_conn_id, self.land_in)

    def _request_parameters(self) -> dict[str, Any]:
        """The JSON object that is sent, from rendered values."""
        try:
            return json_object("parameters", self.parameters) or {}
        except Problem as problem:
            raise InvalidParameter([str(problem)], model=str(self.model)) from None
