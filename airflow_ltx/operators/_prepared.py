"""Before a task that buys does anything: its record is read, its arguments and its connection are checked."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_ltx.durability.policies import CHOICES
from airflow_ltx.exceptions import RateLimited, SegmindError
from airflow_ltx.operators import _arguments
from airflow_ltx.operators._consumers import TellsConsumers
from airflow_ltx.operators._destination import destination_of, wish_of
from airflow_ltx.operators._lifecycle import fail_before_purchase, name_what_was_bought
from airflow_ltx.segmind.clock import now
from airflow_ltx.segmind.coerce import check_slug
from airflow_ltx.segmind.numbers import integer_or_none

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_ltx.operators._attempt import Attempt
    from airflow_ltx.operators._plan import Plan
    from airflow_ltx.segmind.models import SubmittedRequest
    from airflow_ltx.triggers.segmind import SegmindRequestTrigger

DEFAULT_TIMEOUT = 1200.0


class PreparedRequest(TellsConsumers):
    """What each leg of a task that buys begins with. What is bought, subclasses say."""

    model: str
    draw_seed: bool
    segmind_conn_id: str
    destination: str | None
    destination_conn_id: str | None
    land_in: str | None
    if_exists: str | None
    land_all: bool
    sidecar: bool
    media: ClassVar[str | None]
    deferrable: bool
    poll_interval: float | timedelta | None
    timeout: float | timedelta
    wait_for_completion: bool
    output_link: str | None
    published: ClassVar[Mapping[str, str]]
    _attempt: Attempt | None

    def _begin(self, context: Context, request_id: str | None = None) -> Attempt:
        """Read the record. ``request_id``: what is known to be bought, should that fail."""
        from airflow_ltx.hooks.segmind import SegmindHook
        from airflow_ltx.operators._attempt import Attempt
        from airflow_ltx.operators._turned_away import PATIENCE

        try:
            attempt = Attempt.begin(context, SegmindHook(str(self.segmind_conn_id)), self.log)
        except SegmindError as error:
            if request_id is not None:
                name_what_was_bought(error, str(self.segmind_conn_id), request_id)
            fail_before_purchase(error, None, self.log)
        attempt.patience = PATIENCE if self.deferrable else None
        self._attempt = attempt
        return attempt

    def _remember(self, attempt: Attempt) -> None:
        """Heed the record at the destination.

        :raises SegmindError: It cannot be read.
        """
        from airflow_ltx.operators._plan import remember

        attempt.unread = self.destination is not None
        destination = destination_of(self.destination, self.destination_conn_id, self.land_in)
        if destination is not None:
            remember(attempt, destination)
        attempt.unread = False

    def _checked(self, attempt: Attempt, *, calls: bool = True) -> Plan:
        """Check what was rendered, and that the connection can work.

        :param calls: The service will be called. A client takes tens of milliseconds to build.
        """
        from airflow_ltx.durability.order import Order
        from airflow_ltx.operators._plan import Plan
        from airflow_ltx.operators._policies import policies_of

        self._check_arguments()
        # What is on record must be readable, also for what stands in the place of a slug.
        check_slug(self.model)
        plan = Plan(
            order=Order(self.model, self._request_parameters(), self.draw_seed),
            wish=wish_of(
                destination_of(self.destination, self.destination_conn_id, self.land_in),
                {"if_exists": self.if_exists, "media": self.media, "land_all": self.land_all},
            ),
            policies=policies_of({name: getattr(self, name) for name in CHOICES}, attempt.hook),
            timeout=_arguments.seconds("timeout", self.timeout) or DEFAULT_TIMEOUT,
            interval=_arguments.seconds("poll_interval", self.poll_interval),
            sidecar=self.sidecar,
        )
        attempt.wanted = (plan.order.fingerprint, plan.policies)
        if calls:
            attempt.hook.get_conn()
        return plan

    def _check_storable(self, attempt: Attempt, plan: Plan) -> None:
        """Both triggers, with values of the kinds that they will have."""
        from airflow_ltx.durability.fingerprint import marks
        from airflow_ltx.durability.recovery import Wanted
        from airflow_ltx.segmind.models import SubmittedRequest
        from airflow_ltx.triggers.deferral import check_storable, recovery_trigger

        sample = SubmittedRequest("0" * 32, self.model, now())
        check_storable(self._trigger(attempt, sample, plan, now()))
        wanted = Wanted(self.model, marks(plan.order.parameters), True, now())
        check_storable(recovery_trigger(wanted, str(self.segmind_conn_id), deadline=now()))

    def _trigger(
        self, attempt: Attempt, request: SubmittedRequest, plan: Plan, deadline: float
    ) -> SegmindRequestTrigger:
        from airflow_ltx.triggers.deferral import request_trigger

        wish = plan.wish_of(attempt)
        there = wish is not None and wish.destination.remote and self.land_in != "worker"
        return request_trigger(
            request,
            str(self.segmind_conn_id),
            deadline=deadline,
            poll_interval=plan.interval,
            landing=wish.to_json() if wish is not None and there else None,
            fingerprint=(attempt.purchase or plan.order).fingerprint,
            seed=integer_or_none(attempt.sent_seed(plan.order)),
        )

    def _come_back(self, error: SegmindError, attempt: Attempt) -> None:
        """Defer until a rate limit lets the submit through; return if none does, or for too long."""
        from airflow_ltx.operators._turned_away import turn_for
        from airflow_ltx.triggers.astray import wait_for

        if not self.deferrable or not isinstance(error, RateLimited):
            return
        timeout = _arguments.seconds("timeout", self.timeout) or DEFAULT_TIMEOUT
        turn = turn_for(error, attempt, timeout)
        if turn is not None:
            self.defer(**wait_for(turn.trigger, "execute_in_turn", turn.timeout, since=turn.since))

    @abstractmethod
    def _check_arguments(self) -> None:
        """Raise for what makes no sense, whatever the templates will say."""

    @abstractmethod
    def _request_parameters(self) -> dict[str, Any]:
        """The JSON object that is sent, from rendered values; without a seed that is to be drawn."""

    def _advise(self) -> None:
        """Log what the author should know about the request; a subclass may have something to say."""

    def _result(self, result: dict[str, Any]) -> dict[str, Any]:
        """The return value; a subclass may add keys."""
        return result
