"""Wait for a request that something else submitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator, BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferralError,
    TaskDeferralTimeout,
)

from airflow_ltx.exceptions import SegmindError, WaitTimeout, joined
from airflow_ltx.failure import failing
from airflow_ltx.links.segmind import SegmindOutputLink
from airflow_ltx.request import GivenRequest
from airflow_ltx.segmind.clock import now

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_ltx.hooks.segmind import SegmindHook
    from airflow_ltx.segmind.narrate import Narrator
    from airflow_ltx.triggers.event import RequestEvent

DEFAULT_TIMEOUT = 1200.0
DEFAULT_POKE_INTERVAL = 10.0

_NO_RETRY = (
    "The sensor buys nothing and is not retried after its timeout, as no sensor is: clear it to wait again."
)
_SKIPPED = "Skipped, as soft_fail or never_fail is set."


class SegmindRequestSensor(BaseSensorOperator):
    """Wait for a request by its id, and return its result. **Buys nothing**, however often it runs.

    For a request that another task submitted (``wait_for_completion=False``), another DAG, or a person. It
    does not copy the file, which the service deletes after some days.

    **A retry** looks at the same request again. Permanent ends fail for good: the request failed, its record
    has expired, the id is none. A key that is refused and an id that the service does not know may be a
    matter of the connection, and are retried.

    :param request_id: The id, or the return value of the task that submitted the request
        (``submit.output``): with that a fresh request's lag is told from a wrong id. (templated)
    :param segmind_conn_id: Connection whose key submitted it. (templated)
    :param deferrable: Wait in the triggerer. False waits as ``mode`` says: ``"poke"`` holds the worker slot,
        ``"reschedule"`` frees it between looks.
    :param poke_interval: Seconds between looks.
    :param timeout: Seconds from the start of the try, default 1200. Then the sensor fails without retry, as
        all sensors do; the request goes on and is billed when it completes.
    :param soft_fail: Skip instead of failing after the timeout, and where the request failed for good.

    ``exponential_backoff``, ``max_wait`` and ``silent_fail`` only matter with ``deferrable=False``.

    Returns the dict of :class:`~airflow_ltx.operators.segmind.SegmindSubmitOperator`; what the sensor cannot
    know is null. Pushes ``request_id`` and ``output_url``.
    """

    template_fields: Sequence[str] = ("request_id", "segmind_conn_id")
    operator_extra_links = (SegmindOutputLink(),)
    ui_color = "#e8e4fb"

    def __init__(
        self,
        *,
        request_id: str | Mapping[str, Any],
        segmind_conn_id: str = "segmind_default",
        deferrable: bool = True,
        poke_interval: float | timedelta = DEFAULT_POKE_INTERVAL,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        self.request_id = request_id
        self.segmind_conn_id = segmind_conn_id
        self.deferrable = deferrable
        self.output_link: str | None = None
        self._readable_at: float | None = None
        self._narrator: Narrator | None = None

    def execute(self, context: Context) -> Any:
        """Look once; defer if there is more to wait for."""
        with self._skipping(), self._failing():
            context["ti"].xcom_push(key="request_id", value=self._request().request_id)
            if self.deferrable:
                look = self._look(context)
                if look:
                    return look.xcom_value
                self._defer()
        return self._poke_on(context)

    def poke(self, context: Context) -> PokeReturnValue:
        """One look. Done with the result, or not done yet."""
        with self._failing():
            return self._look(context)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Resume after the trigger's event."""
        from airflow_ltx.collect import look_again
        from airflow_ltx.triggers.event import RequestEvent

        with self._skipping(), self._failing():
            told = RequestEvent.from_payload(event)
            request, hook = self._request(), self._hook()
            told = look_again(hook, request, told, self.log)
            return self._result(context, hook, request, told)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume; if the triggerer did not answer, look at the request before giving up.

        After an event of another wait the sensor waits on.
        """
        from airflow_ltx.triggers.astray import arguments_of
        from airflow_ltx.triggers.deferral import unanswered

        arguments = arguments_of(self, next_method, next_kwargs)
        try:
            # Not the sensor's own, which makes a time-out of it before anybody has looked.
            return BaseOperator.resume_execution(self, next_method, arguments, context)
        except (TaskDeferralTimeout, TaskDeferralError) as error:
            return self.execute_complete(context, unanswered(self._request(), error).to_payload())

    def on_kill(self) -> None:
        """The task's process is being ended."""
        self.log.info("The request goes on; the sensor can be run again at no cost.")

    def _poke_on(self, context: Context) -> Any:
        """Airflow's own loop around :meth:`poke`; its end is told in our words, with the id and the bill."""
        with self._skipping():
            try:
                return super().execute(context)
            except AirflowSkipException as error:
                if isinstance(error.__cause__, AirflowFailException):
                    raise AirflowSkipException(joined(str(error.__cause__), _SKIPPED)) from error
            except AirflowSensorTimeout:
                self.log.info("The timeout of %g s has passed: one last look.", self.timeout)
            with self._failing():
                request, hook = self._request(), self._hook()
                return self._result(context, hook, request, self._seen(hook, request))

    def _give_up(self, message: str, error: Exception) -> NoReturn:
        """Say it in a line of its own, as for every other error."""
        message = joined(message, _NO_RETRY)
        self.log.error("%s", message)
        raise AirflowSensorTimeout(message) from error

    def _look(self, context: Context) -> PokeReturnValue:
        from airflow_ltx.segmind.polling import Ending

        request, hook = self._request(), self._hook()
        told = self._seen(hook, request)
        if told.status == Ending.TIMEOUT.value:
            if told.reason is None:
                self._readable_at = now()
            return PokeReturnValue(False)
        if told.status == Ending.DENIED.value and self._refusal_is_news(context):
            return PokeReturnValue(False)
        return PokeReturnValue(True, self._result(context, hook, request, told))

    def _seen(self, hook: SegmindHook, request: GivenRequest) -> RequestEvent:
        """One look. Between the looks of one process only what is new is logged."""
        from airflow_ltx.collect import wait_on_worker
        from airflow_ltx.segmind.narrate import Narrator

        self._narrator = self._narrator or Narrator(self.log, request.request_id, request.submitted_at)
        return wait_on_worker(
            hook, request, deadline=0.0, interval=None, log=self.log, narrator=self._narrator
        )

    def _defer(self) -> NoReturn:
        from airflow_ltx.triggers.astray import wait_for
        from airflow_ltx.triggers.deferral import backstop, check_storable, request_trigger

        deadline = now() + self.timeout
        trigger = request_trigger(
            self._request(),
            str(self.segmind_conn_id),
            deadline=deadline,
            poll_interval=self.poke_interval or None,
        )
        check_storable(trigger)
        limit = backstop(deadline, self._hook().config.timeout)
        self.defer(**wait_for(trigger, "execute_complete", limit))

    def _request(self) -> GivenRequest:
        return GivenRequest.read(self.request_id)

    def _hook(self) -> SegmindHook:
        from airflow_ltx.hooks.segmind import SegmindHook

        return SegmindHook(str(self.segmind_conn_id))

    def _refusal_is_news(self, context: Context) -> bool:
        """Whether an earlier look succeeded: keys are rotated, and that ends no wait at once."""
        from airflow_ltx.segmind.polling import DENIED_GRACE

        if self.reschedule:
            # Each look is a process of its own, and knows of the others only that they were.
            return context["ti"].get_first_reschedule_date(context) is not None
        return self._readable_at is not None and now() - self._readable_at < DENIED_GRACE

    def _result(
        self, context: Context, hook: SegmindHook, request: GivenRequest, told: RequestEvent
    ) -> dict[str, Any]:
        from airflow_ltx.collect import collect
        from airflow_ltx.outcome import Outcome

        try:
            result = collect(hook, request, told)
        except WaitTimeout as error:
            self._give_up(error.message, error)
        outcome = Outcome.of(
            request,
            result,
            told.metrics,
            completed_at=told.completed_at,
            reused=False,
            sent_seed=None,
        ).to_xcom()
        self.output_link = outcome["output_url"]
        self.log.info("Done: request %s is completed; the URL of its file is in XCom.", request.request_id)
        context["ti"].xcom_push(key="output_url", value=outcome["output_url"])
        return outcome

    def _failing(self) -> AbstractContextManager[None]:
        return failing("sensor", self.log)

    @contextmanager
    def _skipping(self) -> Iterator[None]:
        """``soft_fail`` and ``never_fail``, which Airflow itself heeds only where it pokes."""
        try:
            yield
        except (AirflowSensorTimeout, AirflowFailException, AirflowTaskTimeout) as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(joined(str(error), _SKIPPED)) from error
            raise
        except SegmindError as error:
            if self.never_fail:
                raise AirflowSkipException(joined(error.message, _SKIPPED)) from error
            raise
