"""What a try does, given what earlier ones left on record: pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from airflow_ltx.durability.policies import Policies
from airflow_ltx.durability.record import Phase, Purchase, Record


class Step(StrEnum):
    """What a try does first."""

    SUBMIT = "submit"
    REATTACH = "reattach"
    LOOK_AGAIN = "look again"
    """It was given up as lost, and a person cleared the task: ask once more before anything is bought."""
    RECOVER = "recover"
    """A submit's answer is missing: look for the request in the account's history."""
    REUSE = "reuse"
    """Return what was landed."""
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Decision:
    """A step and the reason for it.

    :param purchase: The one of the same parameters: to take up, or whose drawn seed to keep.
    :param abandoned: Purchases that this step leaves behind at the service.
    """

    step: Step
    reason: str
    purchase: Purchase | None = None
    abandoned: tuple[Purchase, ...] = ()


def was_cleared(record: Record, max_tries: int | None) -> bool:
    """Whether a person cleared the task since the record was written."""
    return record.max_tries is not None and record.max_tries != max_tries


def decide(
    record: Record,
    wanted: str,
    max_tries: int | None,
    policies: Policies,
    *,
    is_there: bool = False,
    was_there: bool = False,
    still_gone: str | None = None,
) -> Decision:
    """Whether this try buys, takes up what an earlier one bought, or returns what it landed.

    :param wanted: Fingerprint of what this try would submit.
    :param max_tries: The task instance's, as it is now.
    :param is_there: What was landed for it is still where this try would put it.
    :param was_there: What was landed before it is, see :attr:`Purchase.instead_of`.
    :param still_gone: What another look at a lost one has told; None if there was none.
    """
    current = record.current
    if current is None:
        return Decision(Step.SUBMIT, "no earlier request of this task instance is on record")
    cleared = was_cleared(record, max_tries)
    left: tuple[Purchase, ...] = ()
    if current.fingerprint != wanted:
        settled = not current.outstanding and (cleared or current.phase is Phase.FAILED)
        if not settled and policies.on_stale_state == "fail":
            return Decision(
                Step.FAIL,
                f"The model or its parameters differ from those of {current.name}, which an earlier try "
                "bought, and on_stale_state is 'fail'. Nothing was bought in its place. Give the parameters "
                "back, or set on_stale_state='resubmit'",
            )
        left = () if current.phase is Phase.FAILED else (current,)
    return _course(record.of(wanted), cleared, policies, left, is_there, was_there, still_gone)


def _course(
    mine: Purchase | None,
    cleared: bool,
    policies: Policies,
    left: tuple[Purchase, ...],
    is_there: bool,
    was_there: bool,
    still_gone: str | None,
) -> Decision:
    if mine is None:
        return Decision(
            Step.SUBMIT,
            "the model or its parameters differ from those of the recorded request",
            abandoned=left,
        )
    if cleared and policies.on_clear == "regenerate":
        return Decision(
            Step.SUBMIT,
            "the task was cleared, and on_clear is 'regenerate'",
            abandoned=left if mine.phase is Phase.FAILED else (*left, mine),
        )
    if is_there:
        # Whatever a later try met with, which would have put it elsewhere.
        return Decision(Step.REUSE, "an earlier try of this task has collected it", mine, left)
    nothing = mine.phase is Phase.FAILED or (
        mine.phase is Phase.LOST and bool(mine.cost or still_gone is not None)
    )
    if cleared and was_there and nothing:
        behind = left if mine.phase is Phase.FAILED else (*left, mine)
        return Decision(Step.REUSE, "what was bought in its place came to nothing", mine.instead_of, behind)
    match mine.phase:
        case Phase.INTENT:
            return Decision(Step.RECOVER, "an earlier try was about to submit the same", mine, left)
        case Phase.SUBMITTED:
            return Decision(Step.REATTACH, "an earlier try of this task bought it", mine, left)
        case Phase.LANDED:
            if mine.result is None:
                # Only its signed URL would be, which no record keeps.
                return Decision(
                    Step.REATTACH, "an earlier try collected it, and its URL was not kept", mine, left
                )
            return Decision(Step.REATTACH, "what it made is not where this try would put it", mine, left)
        case Phase.FAILED:
            return Decision(Step.SUBMIT, "the request of an earlier try was not billed", mine, left)
        case _ if not cleared:
            return Decision(
                Step.FAIL,
                f"Of {mine.name}, which was billed{'' if mine.cost else ' if it completed'}, nothing can be "
                "collected. No retry buys another one; clearing the task does",
                mine,
                left,
            )
    if mine.cost:
        return Decision(Step.SUBMIT, "the task was cleared, and it failed at a cost", mine, (*left, mine))
    if still_gone is None:
        # What was gone for another workspace's key, or for a while, may be told by now.
        return Decision(Step.LOOK_AGAIN, "the task was cleared after its request was lost", mine, left)
    return Decision(
        Step.SUBMIT,
        f"the task was cleared, and another look found nothing of it ({still_gone.rstrip('.')})",
        mine,
        (*left, mine),
    )
