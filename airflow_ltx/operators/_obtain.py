"""Take up what an earlier try bought, or buy: the one place where money is spent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowTaskTimeout

from airflow_ltx import metrics
from airflow_ltx.durability.decide import Step, decide
from airflow_ltx.durability.fingerprint import marks
from airflow_ltx.durability.policies import Policies
from airflow_ltx.durability.record import MOST, Phase, Purchase
from airflow_ltx.exceptions import RecordConflict, SegmindError, SubmitOutcomeUnknown
from airflow_ltx.segmind.clock import now
from airflow_ltx.segmind.moments import utc_text
from airflow_ltx.segmind.numbers import integer_or_none, number_or_none

if TYPE_CHECKING:
    from airflow_ltx.durability.order import Order
    from airflow_ltx.operators._attempt import Attempt
    from airflow_ltx.segmind.models import SubmittedRequest
    from airflow_ltx.triggers.event import RequestEvent


_OTHER = (
    "the model or its parameters differ from those that are asked for now; a prompt that differs on every "
    "try is bought on every try"
)


def obtain(
    attempt: Attempt, order: Order, policies: Policies, is_there: Callable[[Mapping[str, Any]], bool]
) -> Purchase:
    """The purchase that this try goes on with. Its phase tells how: ``SUBMITTED``, wait for it; ``LANDED``,
    return its result; ``INTENT``, look for it in the account's history.

    :param is_there: Whether what a task returned is still where it says.
    :raises SegmindError: Nothing was bought, but for ``SubmitOutcomeUnknown``.
    """
    earlier = attempt.record.of(order.fingerprint)
    course = partial(
        decide,
        attempt.record,
        order.fingerprint,
        attempt.ti.max_tries,
        policies,
        is_there=holds(earlier, is_there),
        was_there=holds(None if earlier is None else earlier.instead_of, is_there),
    )
    decision = course()
    if decision.step is Step.LOOK_AGAIN and decision.purchase is not None:
        from airflow_ltx.operators._finish import still_gone

        gone = still_gone(attempt, decision.purchase)
        decision = decision if gone is None else course(still_gone=gone)
    mine = decision.purchase
    for left in decision.abandoned:
        _abandon(attempt, left, None if left.fingerprint != order.fingerprint else decision.reason)
    if decision.step is Step.FAIL:
        raise RecordConflict(decision.reason)
    if decision.step is Step.SUBMIT or mine is None:
        return buy_again(attempt, order, mine)
    if decision.step is Step.RECOVER:
        attempt.take_up(mine)
        attempt.log.warning(
            "The submit of %s at %s got no answer. Looking for its request in the account's history; nothing "
            "is bought meanwhile.",
            mine.model,
            utc_text(mine.intent_at),
        )
        return mine
    if decision.step is Step.REUSE:
        mine = replace(mine, phase=Phase.LANDED)
        attempt.take_up(mine)
        attempt.log.info(
            "Reused the result of request %s%s: %s. Nothing is bought, and a retry returns it again.",
            mine.request_id,
            _billed(mine),
            decision.reason,
        )
        return mine
    mine = replace(mine, phase=Phase.SUBMITTED)
    attempt.take_up(mine)
    metrics.reattached(mine.model)
    since = mine.intent_at if mine.submitted_at is None else mine.submitted_at
    attempt.log.info(
        "Reattached to request %s, bought %.0f s ago%s: %s. Nothing is bought, and a retry takes it up "
        "again.",
        mine.request_id,
        now() - since,
        _billed(mine),
        decision.reason,
    )
    return mine


def buy_again(attempt: Attempt, order: Order, gone: Purchase | None) -> Purchase:
    """Buy, unless what came to nothing was not the task's own request after all.

    :param gone: What came to nothing, or the intent of a lost one that is given up; None if there was none.
    """
    if gone is None:
        return buy(attempt, order, None)
    from airflow_ltx.operators._recover import another_one

    # A lost one may arrive yet: with its seed nobody could tell which of the two a search has found.
    drawn = None if gone.phase is Phase.INTENT else gone.seed
    return another_one(attempt, gone) or buy(attempt, order, drawn)


def buy(attempt: Attempt, order: Order, drawn: int | None) -> Purchase:
    """Record the intent, submit, record the id.

    Returns the intent if the submit's answer is lost and the intent is on record: the request can be looked
    for.

    :param drawn: The seed that was drawn for the same order before.
    """
    seed = order.seed(drawn)
    intent = intent_to(attempt, order, seed, now())
    attempt.intend(intent)
    attempt.submitting = True
    attempt.hook.what_then = attempt.from_now_on
    try:
        request = _send(attempt, order, seed, intent.intent_at)
    except SubmitOutcomeUnknown as error:
        if attempt.kept is None:
            raise
        attempt.log.warning(
            "The answer to the submit of %s was lost (%s): a request may exist and be billed. Looking for it "
            "in the account's history; nothing is bought meanwhile.%s",
            order.model,
            error.said or error.message,
            f" The answer names {error.request_id}." if error.request_id else "",
        )
        return attempt.purchase or intent
    except SegmindError as error:
        attempt.submitting = False
        attempt.refused(error)
        raise
    except BaseException as error:
        _interrupted(attempt, order.model, error)
        raise
    try:
        attempt.bought(request.request_id, request.submitted_at)
    except BaseException as error:
        _interrupted(attempt, order.model, error)
        raise
    attempt.submitting, attempt.fresh = False, True
    then = attempt.next_try(request.request_id)
    if then != attempt.from_now_on(request.request_id):
        attempt.log.warning("Request %s: %s", request.request_id, then)
    return attempt.purchase or intent


def _send(attempt: Attempt, order: Order, seed: int | None, at: float) -> SubmittedRequest:
    try:
        return attempt.hook.submit(order.model, order.body(seed), patience=attempt.patience)
    except SubmitOutcomeUnknown as error:
        from airflow_ltx.operators._named import bought_after_all

        request = bought_after_all(attempt, error, order.model, at)
        if request is None:
            raise
        return request


def holds(landed: Purchase | None, is_there: Callable[[Mapping[str, Any]], bool]) -> bool:
    """Whether something was landed and is still there."""
    return landed is not None and landed.result is not None and is_there(landed.result)


def intent_to(attempt: Attempt, order: Order, seed: int | None, at: float) -> Purchase:
    """What is on record while an order is being sent. ``at``: epoch seconds."""
    body = order.body(seed)
    sent = integer_or_none(body.get("seed"))
    return Purchase(
        phase=Phase.INTENT,
        fingerprint=order.fingerprint,
        model=order.model,
        intent_at=at,
        marks=marks(body),
        seeded=sent is not None and sent >= 0,
        others=attempt.record.ids[-MOST:],
        made=attempt.record.made[-MOST:],
        seed=seed,
        try_number=attempt.ti.try_number,
        instead_of=attempt.record.landed(order.fingerprint),
    )


def as_told(attempt: Attempt, order: Order, told: RequestEvent) -> Purchase:
    """What the trigger says that was bought, should no record have it. ``order`` may be another by now."""
    attempt.seed_told = told.seed
    attempt.assumed = attempt.purchase is None and told.fingerprint is None
    seed = told.seed if order.open_seed else None
    intent = intent_to(attempt, order, seed, told.submitted_at or now())
    if told.fingerprint in (None, order.fingerprint):
        return intent
    return replace(intent, fingerprint=told.fingerprint, marks={}, seed=None)


def _interrupted(attempt: Attempt, model: str, error: BaseException) -> None:
    """Whatever it is (a time-out, an interrupt, an exit), Airflow retries it."""
    what = "execution_timeout" if isinstance(error, AirflowTaskTimeout) else type(error).__name__
    if attempt.kept is not None:
        attempt.log.warning(
            "%s ended the task while its submit of %s was under way. A request may exist and be billed. A "
            "retry looks for it in the account's history and takes it up.",
            what,
            model,
        )
        return
    known = f" Its id is {attempt.request.request_id}." if attempt.request else ""
    raise SubmitOutcomeUnknown(
        f"{what} ended the task while its submit of {model} was under way. A request may exist and be "
        f"billed; it was not sent again.{known} Look into the request history (SegmindHook.history, or the "
        "Segmind console) before running the task once more."
    ) from error


def _billed(purchase: Purchase) -> str:
    told = (purchase.result or {}).get("cost")
    cost = number_or_none(told) if purchase.cost is None else purchase.cost
    return "" if cost is None else f", billed ${cost:g}"


def _abandon(attempt: Attempt, left: Purchase, reason: str | None) -> None:
    """``reason``: None if it is of other parameters."""
    what = f"Left behind {left.name} of an earlier try"
    match left.phase:
        case Phase.SUBMITTED:
            what = f"Abandoned {left.name} of an earlier try"
            then = "It was bought, goes on, and is billed."
        case Phase.INTENT:
            what = f"Abandoned the submit of {utc_text(left.intent_at)}, whose answer was lost"
            then = "A request may exist and be billed."
        case Phase.LOST if not left.cost:
            then = "It was bought, and billed if it completed."
        case _:
            then = f"It was bought{_billed(left) or ' and billed'}."
    retry = "goes on with what is bought in its place"
    if reason is None:
        reason, retry = _OTHER, "with its parameters takes it up again"
    tell = attempt.log.warning if left.outstanding else attempt.log.info
    tell("%s: %s. %s A retry %s.", what, reason, then, retry)
