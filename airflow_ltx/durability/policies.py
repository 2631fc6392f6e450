"""The cases in which more than one course is honest, and the author's choice among them."""

from __future__ import annotations

from dataclasses import dataclass

CHOICES = {
    "on_orphaned_intent": ("fail", "resubmit"),
    "on_clear": ("reuse", "regenerate"),
    "on_stale_state": ("resubmit", "fail"),
}
"""The policies' values, each policy's default first."""


@dataclass(frozen=True, slots=True)
class Policies:
    """The author's wishes for the cases in which more than one course is honest.

    :param on_orphaned_intent: When the history knows nothing of a submit whose answer was lost.
    :param on_clear: When a person clears the task.
    :param on_stale_state: When the record is of other parameters.
    """

    on_orphaned_intent: str = CHOICES["on_orphaned_intent"][0]
    on_clear: str = CHOICES["on_clear"][0]
    on_stale_state: str = CHOICES["on_stale_state"][0]
