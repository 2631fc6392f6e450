"""What an earlier try bought and the task does not have yet, in words for an error that stands in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_ltx.durability.decide import Step, decide
from airflow_ltx.durability.record import Phase
from airflow_ltx.segmind.moments import utc_text

if TYPE_CHECKING:
    from airflow_ltx.durability.record import Purchase
    from airflow_ltx.operators._attempt import Attempt


def outstanding(attempt: Attempt) -> str | None:
    """What an error should add; None if nothing is outstanding."""
    if attempt.turned_down:
        # A retry decides as this try did, and submits.
        return None
    purchase = attempt.record.current
    settled = purchase is None or purchase.phase in (Phase.FAILED, Phase.LOST)
    if purchase is None or settled or (not purchase.outstanding and attempt.cleared):
        return None
    if purchase.phase is Phase.INTENT:
        what = "The submit of an earlier try got no answer and may have been billed"
        does = "looks for its request in the account's history"
    else:
        goes_on = "goes on" if purchase.outstanding else "is collected"
        what, does = f"Request {purchase.request_id}, bought by an earlier try, {goes_on}", "takes it up"
    return f"{what}: {_retry(attempt, purchase, does)}."


def left_on_record(attempt: Attempt, stuck: Purchase) -> str:
    """What an error should add where the record has a submit that bought nothing."""
    said = (
        "That nothing was bought could not be recorded: the next try looks for its request in the account's "
        "history, as for a submit whose answer was lost."
    )
    before = attempt.record.of(stuck.fingerprint)
    if before is not None and before.phase is Phase.INTENT:
        said += (
            f" The submit of {utc_text(before.intent_at)} is not looked for any more: if the Segmind console "
            "shows its request, it was billed."
        )
    return said


def bought_besides(attempt: Attempt) -> str | None:
    """What an error of a request that came to nothing should add, if the task asks for something else by now,
    which it has bought before; None otherwise. Nothing that a retry would buy is meant."""
    if attempt.wanted is None or attempt.purchase is None:
        return None
    fingerprint, policies = attempt.wanted
    course = decide(attempt.record, fingerprint, attempt.ti.max_tries, policies)
    if attempt.purchase.fingerprint == fingerprint or course.step in (Step.SUBMIT, Step.FAIL):
        return None
    what = "an earlier submit" if course.purchase is None else course.purchase.name
    return f"The task asks for something else by now, and has bought it: a retry goes on with {what}."


def _retry(attempt: Attempt, purchase: Purchase, does: str) -> str:
    """What a retry comes to. ``does``: where it deals with this purchase."""
    if attempt.wanted is None:
        # This try did not come so far as to know what is asked for.
        unless = ", unless on_clear is 'regenerate'" if attempt.cleared else ""
        return f"a retry with the same parameters {does}{unless}"
    fingerprint, policies = attempt.wanted
    course = decide(attempt.record, fingerprint, attempt.ti.max_tries, policies)
    if course.step is Step.FAIL:
        return f"no retry {does}. {course.reason.rstrip('.')}"
    if purchase not in course.abandoned:
        return f"a retry {does}"
    if course.step is Step.SUBMIT or course.purchase is None:
        return f"a retry leaves it behind, and buys another one ({course.reason})"
    return f"a retry leaves it behind, and goes on with {course.purchase.name}"
