"""The legs of a task that buys: its first one, and those after a deferral. What is bought, subclasses say."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout

from airflow_ltx.durability.policies import CHOICES
from airflow_ltx.exceptions import RateLimited, SegmindError
from airflow_ltx.operators import _arguments
from airflow_ltx.operators._consumers import TellsConsumers
from airflow_ltx.operators._destination import check_mapped, destination_of, wish_of
from airflow_ltx.operators._lifecycle import (
    fail_after_purchase,
    fail_before_purchase,
    name_what_was_bought,
)
from airflow_ltx.segmind.clock import now
from airflow_ltx.segmind.coerce import check_slug

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_ltx.durability.record import Purchase
    from airflow_ltx.durability.recovery import Verdict
    from airflow_ltx.operators._attempt import Attempt
    from airflow_ltx.operators._plan import Plan
    from airflow_ltx.request import Request
    from airflow_ltx.segmind.models import SubmittedRequest
    from airflow_ltx.triggers.event import RequestEvent
    from airflow_ltx.triggers.segmind import SegmindRequestTrigger

DEFAULT_TIMEOUT = 1200.0


class RequestLegs(TellsConsumers):
    """Obtains one request, waits for it, collects it; see its subclass for the arguments."""

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

    def execute(self, context: Context) -> Any:
        """Buy one request, or take up that of an earlier try; then defer or wait."""
        return self._first(context, None)

    def execute_in_turn(self, context: Context, event: Any = None) -> Any:
        """As :meth:`execute`, after a rate limit had refused the submit. Nothing was bought meanwhile."""
        from airflow_ltx.triggers.turn import since_of

        return self._first(context, since_of(event))

    def _first(self, context: Context, refused_since: float | None, *, turns: bool = True) -> Any:
        """Obtain a request, and go on with it.

        :param refused_since: Epoch seconds of the first refusal by a rate limit in this try.
        :param turns: A triggerer can wait for the turn of a submit.
        """
        from airflow_ltx.operators._obtain import obtain

        attempt = self._begin(context)
        attempt.refused_since = refused_since
        if not turns:
            attempt.patience = None
        try:
            # First: whatever is wrong is another thing once something was bought.
            self._remember(attempt)
            plan = self._checked(attempt)
            check_mapped(context, plan.destination)
            plan.prepare(attempt)
            if self.deferrable:
                self._check_storable(attempt, plan)
            self._advise()
            purchase = obtain(attempt, plan.order, plan.policies, plan.is_there)
        except SegmindError as error:
            self._come_back(error, attempt)
            fail_before_purchase(error, attempt, self.log)
        return self._go_on(attempt, plan, purchase)

    def _come_back(self, error: SegmindError, attempt: Attempt) -> None:
        """Defer until a rate limit lets the submit through; return if none does, or for too long."""
        from airflow_ltx.operators._turned_away import turn_for

        if not self.deferrable or not isinstance(error, RateLimited):
            return
        timeout = _arguments.seconds("timeout", self.timeout) or DEFAULT_TIMEOUT
        turn = turn_for(error, attempt, timeout)
        if turn is not None:
            self.defer(trigger=turn.trigger, method_name="execute_in_turn", timeout=turn.timeout)

    def execute_recovered(self, context: Context, event: Any = None) -> Any:
        """Resume after the search for a request whose submit's answer was lost."""
        from airflow_ltx.durability.recovery import Fate
        from airflow_ltx.operators._recover import intent_left, look_on_worker
        from airflow_ltx.triggers.recovery import from_payload

        verdict = from_payload(event)
        attempt = self._begin(context, verdict.request_id)
        try:
            self._remember(attempt)
            plan = self._checked(attempt)
            intent = intent_left(attempt, plan.order, verdict)
            if intent is not None and verdict.fate is not Fate.FOUND:
                # Time has passed since, and a look is free. It is short, and does not undo a doubt.
                seen = look_on_worker(attempt, intent, 0.0)
                doubt = (verdict.fate, seen.fate) == (Fate.UNCLEAR, Fate.ABSENT)
                verdict = verdict if doubt else seen
        except SegmindError as error:
            fail_before_purchase(error, attempt, self.log)
        if intent is None:
            return self.execute(context)
        return self._recovered(attempt, plan, intent, verdict)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Resume after the trigger's event: land the file, publish the result."""
        from airflow_ltx.collect import look_again
        from airflow_ltx.operators._obtain import intent_to
        from airflow_ltx.request import GivenRequest
        from airflow_ltx.triggers.event import RequestEvent

        told = RequestEvent.from_payload(event)
        attempt = self._begin(context, told.request_id)
        # Where nothing but its XCom tells of it, nobody knows when it was submitted.
        request = GivenRequest(told.request_id, told.model or self.model, told.submitted_at)
        attempt.resume(request, None)
        try:
            self._remember(attempt)
            attempt.resume(request, None)
            plan = self._checked(attempt, calls=False)
            attempt.resume(request, intent_to(attempt, plan.order, None, told.submitted_at or now()))
            told = look_again(attempt.hook, request, told, self.log)
        except SegmindError as error:
            fail_after_purchase(error, attempt, request.request_id)
        return self._finish(attempt, plan, request, told)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume; if the triggerer did not answer, look at the request before giving up: it is paid for.

        A submit that was to be sent in its turn is sent.
        """
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralTimeout, TaskDeferralError) as error:
            from airflow_ltx.triggers.deferral import unanswered, unanswered_search, unanswered_turn

            attempt = self._begin(context)
            # What is wrong with the arguments now is said by the method that goes on.
            with suppress(SegmindError):
                self._remember(attempt)
            since = attempt.record.refused_since
            if since is not None:
                self.log.warning(unanswered_turn(error))
                # Where it cannot be run at all, the next turn would not be waited for either.
                return self._first(context, since, turns=isinstance(error, TaskDeferralTimeout))
            # An id that only its XCom tells, since the record could not be completed, needs no search.
            request = attempt.deferred_request(self.task_id, self.model)
            if request is None and attempt.searching:
                return self.execute_recovered(context, unanswered_search(error))
            if request is None:
                raise
            return self.execute_complete(context, unanswered(request, error).to_payload())

    def on_kill(self) -> None:
        """The task's process is being ended. Says what becomes of the request."""
        if self._attempt is not None:
            self._attempt.ended()

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

    def _go_on(self, attempt: Attempt, plan: Plan, purchase: Purchase) -> Any:
        """From a purchase to the task's return value, however far it has come."""
        from airflow_ltx.durability.record import Phase
        from airflow_ltx.operators._finish import failure, submitted_only
        from airflow_ltx.operators._landing import keep_sidecar

        if purchase.phase is Phase.INTENT:
            return self._recover(attempt, plan, purchase)
        if purchase.phase is Phase.LANDED and purchase.result is not None:
            result = {**purchase.result, "reused": True}
            try:
                keep_sidecar(attempt, plan, result, renew=False)
            except SegmindError as error:
                fail_after_purchase(error, attempt, purchase.request.request_id)
            self._publish(attempt, result)
            self._tell_outlets(attempt.outlet_events, result)
            return result
        if self.wait_for_completion:
            return self._wait(attempt, plan, purchase.request)
        failed = None if attempt.fresh else failure(attempt, purchase.request)
        if failed is not None and failed.metrics.cost:
            return self._finish(attempt, plan, purchase.request, failed)
        if failed is not None:
            attempt.failed()
            return self._go_on(attempt, plan, self._buy_instead(attempt, plan, purchase))
        result = self._result(submitted_only(attempt, purchase.request))
        self._publish(attempt, result)
        return result

    def _buy_instead(self, attempt: Attempt, plan: Plan, gone: Purchase) -> Purchase:
        """Buy in place of a request that came to nothing."""
        from airflow_ltx.operators._obtain import buy, obtain

        try:
            if gone.fingerprint != plan.order.fingerprint:
                # The templates say something else on this leg, which an earlier try may have bought already.
                return obtain(attempt, plan.order, plan.policies, plan.is_there)
            # With the same seed a search for either finds both, should the first one arrive after all.
            return buy(attempt, plan.order, gone.seed)
        except SegmindError as error:
            self._come_back(error, attempt)
            fail_before_purchase(error, attempt, self.log)

    def _recover(self, attempt: Attempt, plan: Plan, intent: Purchase) -> Any:
        """Look for the request of a submit without an answer: once here, then in the triggerer."""
        from airflow_ltx.durability.recovery import Fate
        from airflow_ltx.operators._recover import look_on_worker, wanted_of
        from airflow_ltx.triggers.deferral import backstop, recovery_trigger

        deadline = intent.intent_at + plan.timeout
        verdict = look_on_worker(attempt, intent, 0.0 if self.deferrable else deadline)
        if self.deferrable and verdict.fate is not Fate.FOUND and now() < deadline:
            self.defer(
                trigger=recovery_trigger(wanted_of(intent), str(self.segmind_conn_id), deadline=deadline),
                method_name="execute_recovered",
                timeout=backstop(deadline, attempt.hook.config.timeout),
            )
        return self._recovered(attempt, plan, intent, verdict)

    def _recovered(self, attempt: Attempt, plan: Plan, intent: Purchase, verdict: Verdict) -> Any:
        from airflow_ltx.operators._recover import found, given_up, landed_before

        if verdict.request_id is not None:
            return self._go_on(attempt, plan, found(attempt, intent, verdict.request_id, verdict.reason))
        over = now() >= intent.intent_at + plan.timeout
        resubmit = plan.policies.on_orphaned_intent == "resubmit"
        if over and not resubmit and plan.policies.on_clear == "reuse":
            landed = landed_before(attempt, intent, verdict, plan.is_there)
            if landed is not None:
                return self._go_on(attempt, plan, landed)
        given_up(attempt, intent, verdict, resubmit=resubmit, over=over)
        return self._go_on(attempt, plan, self._buy_instead(attempt, plan, intent))

    def _wait(self, attempt: Attempt, plan: Plan, request: SubmittedRequest) -> Any:
        """Wait for the request: in the triggerer, or here."""
        from airflow_ltx.collect import wait_on_worker
        from airflow_ltx.segmind.polling import Ending
        from airflow_ltx.triggers.deferral import backstop

        deadline = request.submitted_at + plan.timeout
        if not attempt.fresh:
            # An earlier try's request is often over by now: look before paying for a deferral.
            told = wait_on_worker(attempt.hook, request, deadline=0.0, interval=plan.interval, log=self.log)
            if told.status not in (Ending.TIMEOUT.value, Ending.DENIED.value):
                return self._finish(attempt, plan, request, told)
            deadline = now() + plan.timeout
        if self.deferrable:
            self.defer(
                trigger=self._trigger(attempt, request, plan, deadline),
                method_name="execute_complete",
                timeout=backstop(deadline, attempt.hook.config.timeout),
            )
        told = wait_on_worker(attempt.hook, request, deadline=deadline, interval=plan.interval, log=self.log)
        return self._finish(attempt, plan, request, told)

    def _finish(self, attempt: Attempt, plan: Plan, request: Request, told: RequestEvent) -> dict[str, Any]:
        from airflow_ltx.operators._finish import finish, keepable

        result = self._result(
            finish(
                attempt,
                request,
                told,
                plan=plan,
                sent_seed=attempt.sent_seed(plan.order),
                publish=lambda known: self._publish(attempt, self._result(known)),
            )
        )
        # Last: a try that dies before this point is followed by one that takes the request up again.
        attempt.landed(keepable(result), result["cost"])
        self._tell_outlets(attempt.outlet_events, result)
        return result

    def _publish(self, attempt: Attempt, result: dict[str, Any]) -> None:
        self.output_link = result.get("output_url")
        attempt.push({key: result.get(source) for key, source in self.published.items()})
        if result.get("files"):
            attempt.push({"output_uris": [file["uri"] for file in result["files"]]})

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
        )

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
