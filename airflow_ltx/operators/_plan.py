"""What a task wants, as its rendered arguments say: checked together, before anything is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_ltx.durability.beside import FileStore, Whose
from airflow_ltx.operators._destination import can_look, owned

if TYPE_CHECKING:
    from airflow_ltx.durability.order import Order
    from airflow_ltx.durability.policies import Policies
    from airflow_ltx.landing.destination import Destination
    from airflow_ltx.landing.wish import Wish
    from airflow_ltx.operators._attempt import Attempt


def remember(attempt: Attempt, destination: Destination) -> None:
    """Keep the record beside the destination, too, and heed what is there.

    :raises SegmindError: It cannot be read.
    """
    from airflow_ltx.landing.place import place_of

    attempt.keep_in(FileStore(place_of(destination), destination.directory, Whose.of(attempt.ti)))


@dataclass(frozen=True, slots=True)
class Plan:
    """One leg's wishes. Templates are rendered anew for each leg, and may say something else then.

    :param timeout: Seconds.
    :param wish: Where the files go; None if only their URLs are wanted.
    :param sidecar: Write what was asked for beside the main file.
    :param interval: Seconds between looks; None spaces them by what the model usually takes.
    """

    order: Order
    wish: Wish | None
    policies: Policies
    timeout: float
    interval: float | None
    sidecar: bool = False

    @property
    def destination(self) -> Destination | None:
        """Where the files go."""
        return None if self.wish is None else self.wish.destination

    def is_there(self, result: Mapping[str, Any]) -> bool:
        """Whether what an earlier try returned still holds."""
        from airflow_ltx.operators._landing import is_there

        return is_there(self.wish, result)

    def prepare(self, attempt: Attempt) -> None:
        """Check, before money is spent, that the destination can be used from here.

        :raises DestinationError: It cannot.
        """
        wish = self.wish_of(attempt)
        if wish is not None:
            from airflow_ltx.landing.land import prepare

            look = can_look(attempt.record)
            prepare(wish, look=look, model=self.order.model, sidecar=self.sidecar)

    def wish_of(self, attempt: Attempt) -> Wish | None:
        """The wish, with what is known of the task instance's earlier files."""
        return None if self.wish is None else replace(self.wish, own=owned(attempt.record))
