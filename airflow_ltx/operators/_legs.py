"""The legs of a task that buys: its first one, and those after a deferral. What is bought, subclasses say."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout

from airflow_ltx.exceptions import SegmindError
from airflow_ltx.operators._destination import check_mapped
from airflow_ltx.operators._lifecycle import (
    fail_after_purchase,
    fail_before_purchase,
)
from airflow_ltx.operators._prepared import PreparedRequest
from airflow_ltx.segmind.clock import now

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_ltx.durability.record import Purchase
    from airflow_ltx.durability.recovery import Verdict
    from airflow_ltx.operators._attempt import Attempt
    from airflow_ltx.operators._plan import Plan
    from airflow_ltx.request import Request
    from airflow_ltx.segmind.models import SubmittedRequest
    from airflow_ltx.triggers.event import RequestEvent


class RequestLegs(PreparedRequest):
    """Obtains one request, waits for it, collects it; see its subclass for the arguments."""

    def execute(self, context: Context) -> Any:
        """Buy one request, or take up that of an earlier try; then defer or wait."""
        return self._first(context, None)

    def execute_in_turn(self, context: Context, event: Any = None, since: float | None = None) -> Any:
        """As :meth:`execute`, after a rate limit had refused the submit. Nothing was bought meanwhile.

        :param since: Epoch seconds of the first refusal in this try.
        """
        return self._first(context, since)

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
        from airflow_ltx.operators._obtain import as_told
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
            attempt.resume(request, as_told(attempt, plan.order, told))
            told = look_again(attempt.hook, request, told, self.log)
        except SegmindError as error:
            fail_after_purchase(error, attempt, request.request_id)
        return self._finish(attempt, plan, request, told)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume; if the triggerer did not answer, look at the request before giving up: it is paid for.

        A submit that was to be sent in its turn is sent. After an event of another wait the task waits on.
        """
        from airflow_ltx.triggers.astray import arguments_of

        try:
            return super().resume_execution(
                next_method, arguments_of(self, next_method, next_kwargs), context
            )
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

    def _go_on(self, attempt: Attempt, plan: Plan, purchase: Purchase) -> Any:
        """From a purchase to the task's return value, however far it has come."""
        from airflow_ltx.durability.record import Phase
        from airflow_ltx.operators._finish import failure, returned_again, submitted_only
        from airflow_ltx.operators._landing import keep_sidecar

        if purchase.phase is Phase.INTENT:
            return self._recover(attempt, plan, purchase)
        if purchase.phase is Phase.LANDED and purchase.result is not None:
            result = returned_again(attempt, plan, purchase.result)
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
        from airflow_ltx.operators._obtain import buy_again, obtain

        try:
            if gone.fingerprint != plan.order.fingerprint:
                # The templates say something else on this leg, which an earlier try may have bought already.
                return obtain(attempt, plan.order, plan.policies, plan.is_there)
            return buy_again(attempt, plan.order, attempt.purchase or gone)
        except SegmindError as error:
            self._come_back(error, attempt)
            fail_before_purchase(error, attempt, self.log)

    def _recover(self, attempt: Attempt, plan: Plan, intent: Purchase) -> Any:
        """Look for the request of a submit without an answer: once here, then in the triggerer."""
        from airflow_ltx.durability.recovery import Fate
        from airflow_ltx.operators._recover import look_on_worker, wanted_of
        from airflow_ltx.triggers.astray import wait_for
        from airflow_ltx.triggers.deferral import backstop, recovery_trigger

        deadline = intent.intent_at + plan.timeout
        verdict = look_on_worker(attempt, intent, 0.0 if self.deferrable else deadline)
        if self.deferrable and verdict.fate is not Fate.FOUND and now() < deadline:
            trigger = recovery_trigger(wanted_of(intent), str(self.segmind_conn_id), deadline=deadline)
            limit = backstop(deadline, attempt.hook.config.timeout)
            self.defer(**wait_for(trigger, "execute_recovered", limit))
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
        from airflow_ltx.triggers.astray import wait_for
        from airflow_ltx.triggers.deferral import backstop

        deadline = request.submitted_at + plan.timeout
        if not attempt.fresh:
            # An earlier try's request is often over by now: look before paying for a deferral.
            told = wait_on_worker(attempt.hook, request, deadline=0.0, interval=plan.interval, log=self.log)
            if told.status not in (Ending.TIMEOUT.value, Ending.DENIED.value):
                return self._finish(attempt, plan, request, told)
            deadline = now() + plan.timeout
        if self.deferrable:
            trigger = self._trigger(attempt, request, plan, deadline)
            limit = backstop(deadline, attempt.hook.config.timeout)
            self.defer(**wait_for(trigger, "execute_complete", limit))
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
