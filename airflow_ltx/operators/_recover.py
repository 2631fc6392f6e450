"""A submit whose answer was lost: the worker's looks into the account's history, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_ltx import metrics
from airflow_ltx.durability.looking import Telling, look_up
from airflow_ltx.durability.record import MOST, Phase
from airflow_ltx.durability.recovery import Fate, Lookup, Verdict, Wanted
from airflow_ltx.durability.task_state import KEY
from airflow_ltx.exceptions import SegmindError, SubmitOutcomeUnknown
from airflow_ltx.failure import raise_to_airflow
from airflow_ltx.operators._named import is_known
from airflow_ltx.operators._obtain import holds, intent_to
from airflow_ltx.segmind.clock import now
from airflow_ltx.segmind.models import State
from airflow_ltx.segmind.moments import utc_text
from airflow_ltx.segmind.retry import ONCE

if TYPE_CHECKING:
    from airflow_ltx.durability.order import Order
    from airflow_ltx.durability.record import Purchase
    from airflow_ltx.operators._attempt import Attempt


_ONE_READING = 10.0
"""Seconds within which a single reading of the history is repeated through transient errors."""


def wanted_of(purchase: Purchase) -> Wanted:
    """What to look for."""
    return Wanted(
        purchase.model,
        purchase.marks,
        purchase.seeded,
        purchase.intent_at,
        purchase.others,
        drawn=purchase.seed is not None,
    )


def look_on_worker(attempt: Attempt, purchase: Purchase, deadline: float) -> Verdict:
    """Look until the request is found or ``deadline`` (epoch seconds) has passed; at least once."""
    obstacle = None
    if purchase.named is not None:
        try:
            if is_known(attempt, purchase.named):
                return Verdict(Fate.FOUND, purchase.named)
        except SegmindError as error:
            obstacle = error.message
    verdict = _look_into_history(attempt, purchase, deadline)
    if obstacle is not None and verdict.fate is Fate.ABSENT:
        return Verdict(Fate.UNCLEAR, reason=f"{verdict.reason}, and the id that the answer named: {obstacle}")
    return verdict


def _look_into_history(attempt: Attempt, purchase: Purchase, deadline: float) -> Verdict:
    client = attempt.hook.get_conn()
    # What is read again and again needs no patience with one reading.
    again = now() < deadline
    return look_up(
        Lookup(wanted_of(purchase), deadline),
        lambda filters: client.history(
            **filters, retry=ONCE if again else None, deadline=now() + _ONE_READING
        ),
        Telling(attempt.log, f"the request of {utc_text(purchase.intent_at)}"),
    )


def found(attempt: Attempt, intent: Purchase, request_id: str, several: str | None) -> Purchase:
    """The request exists: it was bought, and is taken up.

    :param several: That there are more of its kind: their ids are to be read somewhere.
    """
    if several:
        attempt.log.warning("%s.", several)
    attempt.bought(request_id, intent.intent_at, sought=request_id != intent.named)
    metrics.purchased(intent.model)
    attempt.submitting = False
    where = "Found request %s in the account's history"
    if request_id == intent.named:
        where = "Found request %s by the id that its answer named"
    attempt.log.info(
        f"{where}: bought by the submit of %s, whose answer was lost. Nothing is bought. %s",
        request_id,
        utc_text(intent.intent_at),
        attempt.next_try(request_id),
    )
    return attempt.purchase or intent


def another_one(attempt: Attempt, failed: Purchase) -> Purchase | None:
    """In place of a request that came to nothing and may have been somebody else's: the one that was lost, if
    the history tells it by now; None if another one may be bought, as it knows of none.

    :raises SubmitOutcomeUnknown: The history could not be read, or does not tell. Retryable.
    """
    over = failed.phase in (Phase.FAILED, Phase.LOST)
    if not over or failed.request_id is None or not failed.doubtful:
        return None
    intent = replace(
        failed,
        phase=Phase.INTENT,
        request_id=None,
        submitted_at=None,
        sought=False,
        cost=None,
        others=(*failed.others, failed.request_id)[-MOST:],
    )
    verdict = look_on_worker(attempt, intent, wanted_of(intent).settled(State.FAILED))
    if verdict.fate is Fate.ABSENT:
        return None
    if verdict.request_id is None:
        raise _not_told(intent, verdict, resubmit=True)
    attempt.log.info(
        "Request %s came to nothing, and only a search had found it: it is taken for somebody else's.",
        failed.request_id,
    )
    attempt.resume_intent(intent)
    return found(attempt, intent, verdict.request_id, verdict.reason)


def intent_left(attempt: Attempt, order: Order, verdict: Verdict) -> Purchase | None:
    """The submit that a search was for; None if the record says by now what became of it.

    :raises SubmitOutcomeUnknown: For good. The record is gone, and the search has found nothing.
    """
    current = attempt.record.current
    if current is None and verdict.request_id is None:
        # Final: a retry would find no record either, and buy.
        raise SubmitOutcomeUnknown(
            f"The record of the submit of {order.model} is gone, and the account's history does not tell "
            f"what became of it ({verdict.reason}). A request may exist and be billed; nothing was bought in "
            "its place. Look into the Segmind console. If it shows none of that time, clear the task: it "
            "buys then."
        )
    if current is not None and current.phase is not Phase.INTENT:
        if verdict.request_id is not None and not attempt.record.knows(verdict.request_id):
            attempt.log.warning(
                "The record was changed while request %s was looked for, and found: it is left as it is, and "
                "billed.",
                verdict.request_id,
            )
        return None
    intent = intent_to(attempt, order, None, now()) if current is None else current
    attempt.resume_intent(intent)
    return intent


def landed_before(
    attempt: Attempt, intent: Purchase, verdict: Verdict, is_there: Callable[[Mapping[str, Any]], bool]
) -> Purchase | None:
    """What is returned, though a person once asked for another one, when the history knows nothing of its
    submit; None if nothing was landed before, or it is not there any more."""
    landed = intent.instead_of
    if landed is None or verdict.fate is not Fate.ABSENT or not holds(landed, is_there):
        return None
    attempt.fall_back(landed)
    attempt.log.warning(
        "The submit of %s at %s got no answer, and the account's history knows nothing of it (%s). A request "
        "may exist and be billed. on_clear is 'reuse': reused the result of request %s, in place of which it "
        "was sent. Nothing is bought, and a retry looks again.",
        intent.model,
        utc_text(intent.intent_at),
        verdict.reason,
        landed.request_id,
    )
    return landed


def given_up(attempt: Attempt, intent: Purchase, verdict: Verdict, *, resubmit: bool, over: bool) -> None:
    """The history does not tell which request it is. Returns if another one may be bought.

    :param resubmit: The author's wish for a history that knows of none.
    :param over: It was looked for until the deadline.
    :raises SubmitOutcomeUnknown: Retryable; each retry looks again.
    """
    if verdict.fate is Fate.ABSENT and resubmit and over:
        attempt.log.warning(
            "%s, and the account's history knows nothing of it (%s). on_orphaned_intent is 'resubmit': "
            "another one is bought. If the first one exists after all, it is billed, too.",
            _what_was_lost(intent),
            verdict.reason,
        )
        return
    raise_to_airflow(_not_told(intent, verdict, resubmit=resubmit), attempt.log)


def _what_was_lost(intent: Purchase) -> str:
    when = f"The submit of {intent.model} at {utc_text(intent.intent_at)} got no answer"
    return when if intent.named is None else f"{when} but a broken one, which names request {intent.named}"


def _not_told(intent: Purchase, verdict: Verdict, *, resubmit: bool) -> SubmitOutcomeUnknown:
    match verdict.fate:
        case Fate.UNREADABLE:
            seen = f"the account's history could not be read ({verdict.reason})"
        case _:
            seen = f"the account's history does not tell what became of it: {verdict.reason}"
    then, ways = "buys nothing", "set on_orphaned_intent='resubmit', clear"
    if resubmit:
        then, ways = "buys another one only once the history is read and knows nothing of it", "clear"
    error = SubmitOutcomeUnknown(
        f"{_what_was_lost(intent)}, and {seen.rstrip('.')}. A request may exist and be billed; nothing was "
        f"bought in its place. A retry looks again and {then}. If the Segmind console shows none of that "
        f"time either, have it bought anew: {ways} the task with on_clear='regenerate', or delete the task's "
        f"record (task state {KEY!r}, and its file in _segmind/ at the destination)."
    )
    error.retryable = True
    return error
