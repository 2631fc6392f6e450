"""One try of a task: what it works with, what it knows of the money spent, and what of that is on record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_ltx.durability.decide import was_cleared
from airflow_ltx.durability.record import Phase, Purchase, Record, later
from airflow_ltx.durability.store import Everywhere, RecordStore
from airflow_ltx.durability.task_state import task_state
from airflow_ltx.exceptions import RateLimited, SegmindError
from airflow_ltx.request import GivenRequest, Request
from airflow_ltx.segmind.clock import now
from airflow_ltx.segmind.models import SubmittedRequest
from airflow_ltx.segmind.narrate import COMPLETED_ANYWAY, LOOKED_FOR, MAY_BE_BOUGHT, NO_CANCEL, OVER

if TYPE_CHECKING:
    from airflow_ltx.durability.order import Order
    from airflow_ltx.durability.policies import Policies
    from airflow_ltx.hooks.segmind import SegmindHook


_TAKES_UP = "A retry takes up this request and buys nothing."


@dataclass(slots=True)
class Attempt:
    """The state of one try.

    :param ti: The running task instance: ``max_tries``, ``try_number``, ``xcom_push``.
    :param stores: Where purchases outlive tries; none on Airflow 3.2 without a destination.
    :param record: What earlier tries, or an earlier leg of this one, left there.
    :param purchase: The one that this try deals with.
    :param reused: It was bought by an earlier try.
    :param fresh: It was bought by this very leg.
    :param kept: Its phase as the stores have it.
    :param behind: One of the stores missed what another one has.
    :param unread: There is a destination, and the record there could not be read.
    :param submitting: A submit is under way: whether it bought is not known.
    :param completed: The request is over; what remains is to fetch its file.
    :param turned_down: The service refused the submit.
    :param stuck: What the record has as a submit without an answer, though it bought nothing.
    :param outlet_events: Of the task's context.
    :param patience: Seconds that a submit may wait for the reset of a rate limit; None: some minutes.
    :param wanted: The fingerprint and the policies of this leg, once they are known.
    :param refused_since: Epoch seconds of the first refusal by a rate limit in this try.
    :param seed_told: The seed that was sent, as the trigger has it.
    :param assumed: Neither record nor trigger tells what ``purchase`` is of: it is taken for this leg's.
    """

    ti: Any
    hook: SegmindHook
    log: Any
    stores: Everywhere = field(default_factory=lambda: Everywhere(()))
    record: Record = field(default_factory=Record)
    purchase: Purchase | None = None
    reused: bool = False
    fresh: bool = False
    kept: Phase | None = None
    behind: bool = False
    unread: bool = False
    submitting: bool = False
    completed: bool = False
    turned_down: bool = False
    stuck: Purchase | None = None
    outlet_events: Any = None
    patience: float | None = None
    wanted: tuple[str, Policies] | None = None
    refused_since: float | None = None
    seed_told: int | None = None
    assumed: bool = False
    _pushed: dict[str, Any] = field(default_factory=dict)
    _undone: Record | None = None

    @classmethod
    def begin(cls, context: Mapping[str, Any], hook: SegmindHook, log: Any) -> Attempt:
        """Read the record before anything else, so that whatever fails next can name what was bought.

        :raises SegmindError: The record cannot be read.
        """
        attempt = cls(context["ti"], hook, log, outlet_events=context.get("outlet_events"))
        store = task_state(context)
        if store is not None:
            attempt.keep_in(store)
        return attempt

    def keep_in(self, store: RecordStore) -> None:
        """Keep the record in one more place, and heed what is there.

        :raises SegmindError: It cannot be read.
        """
        found = store.read() or Record()
        self.behind = self.behind or (bool(self.stores.stores) and found.revision != self.record.revision)
        self.stores = Everywhere((*self.stores.stores, store))
        self.record = later(self.record, found)

    @property
    def request(self) -> SubmittedRequest | None:
        """What was bought, as soon as its id is known, so that ``on_kill`` can name it."""
        purchase = self.purchase
        return purchase.request if purchase is not None and purchase.request_id is not None else None

    def sent_seed(self, order: Order) -> object:
        """The seed that was sent, drawn or given, as far as it is known."""
        purchase = self.purchase
        if purchase is not None and purchase.seed is not None:
            return purchase.seed
        return order.parameters.get("seed") if self._is_of(order) else self.seed_told

    def sent_body(self, order: Order) -> dict[str, Any] | None:
        """The JSON object that was sent; None if ``order`` is not what was bought any more."""
        seed = None if self.purchase is None else self.purchase.seed
        return order.body(seed) if self._is_of(order) else None

    @property
    def searching(self) -> bool:
        """Whether the record ends with a submit whose answer is missing."""
        return self.record.current is not None and self.record.current.phase is Phase.INTENT

    @property
    def cleared(self) -> bool:
        """Whether a person cleared the task since the record was written."""
        return was_cleared(self.record, self.ti.max_tries)

    def intend(self, purchase: Purchase) -> None:
        """Record a purchase before it is made.

        :raises RecordUnavailable: It cannot be recorded everywhere, so it must not be made.
        """
        record = self.record.updated(purchase, self.ti.max_tries)
        errors = self.stores.write(record)
        if errors:
            # Where it was refused, it may have been written all the same.
            self._take_back(purchase, self._without(purchase, record.revision), len(errors))
            errors[0].add("Nothing was sent or billed: what cannot be remembered is not bought.")
            raise errors[0]
        self._undone = self._without(purchase, record.revision)
        self.record, self.purchase, self.reused = record, purchase, False
        self.kept = Phase.INTENT if self.stores.stores else None

    def take_up(self, purchase: Purchase) -> None:
        """Go on with what is on record."""
        self.purchase, self.reused, self.kept = purchase, True, purchase.phase
        waited = self.record.refused_since is not None
        if self.behind or self.cleared or waited or self.record.current != purchase:
            self._keep(purchase)
        self._push_id()

    def fall_back(self, landed: Purchase) -> None:
        """Return what was landed before a submit that came to nothing, which stays on record: who looks again
        may find it yet."""
        self.purchase, self.reused, self.kept = landed, True, landed.phase
        self._push_id()

    def bought(self, request_id: str, submitted_at: float, *, sought: bool = False) -> None:
        """The request's id is known: it is bought. ``sought``: by a search alone."""
        if self.purchase is None:
            return
        known = replace(self.purchase, request_id=request_id, submitted_at=submitted_at, sought=sought)
        self._keep(replace(known, phase=Phase.SUBMITTED))
        self._push_id()

    def names(self, request_id: str) -> None:
        """A broken answer to the submit names an id: whoever looks for its request asks for it first."""
        if self.purchase is not None:
            self._keep(replace(self.purchase, named=request_id))

    def resume_intent(self, intent: Purchase) -> None:
        """Go on with a submit of an earlier leg, or try, whose answer is missing."""
        self.purchase, self.kept = intent, Phase.INTENT
        self.reused = intent.try_number != self.ti.try_number

    def resume(self, request: Request, otherwise: Purchase | None) -> None:
        """Take over from the trigger; mend a record that could not be written before.

        :param otherwise: What was bought, should the record not have it.
        """
        known = next((p for p in self.record.purchases if p.request_id == request.request_id), None)
        current = self.record.current
        if known is not None:
            self.purchase, self.kept = known, known.phase
            self.reused = known.try_number != self.ti.try_number
            return
        if current is not None and current.phase is Phase.INTENT:
            otherwise = current
        if otherwise is not None:
            self.purchase = otherwise
            at = otherwise.intent_at if request.submitted_at is None else request.submitted_at
            self.bought(request.request_id, at)

    def refused(self, error: SegmindError) -> None:
        """The submit was refused, and nothing is bought: what was there before counts again."""
        self.turned_down = True
        if self._undone is None:
            return
        if isinstance(error, RateLimited):
            self.refused_since = now() if self.refused_since is None else self.refused_since
            # Should no triggerer wait for its turn: what counts again is not what the task had come for.
            self._undone = replace(self._undone, refused_since=self.refused_since)
        if self.purchase is not None:
            self._take_back(self.purchase, self._undone)
        self.record = self._undone

    def failed(self) -> None:
        """Nothing was billed: the next try may buy, with the seed that was drawn."""
        self._become(Phase.FAILED)

    def lost(self, cost: float | None) -> None:
        """Billed, and nothing can be collected: only a person may have it bought again.

        :param cost: None if nobody told one: then it may be found yet.
        """
        # A file that an earlier try put elsewhere is remembered: it may be there still.
        self._become(Phase.LOST, self.purchase.result if self.purchase else None, cost)

    def landed(self, result: Mapping[str, Any] | None, cost: float | None) -> None:
        """The video is where it should be. ``result``: what may be kept of the task's return value."""
        self._become(Phase.LANDED, result, cost)

    def deferred_request(self, task_id: str, model: str) -> GivenRequest | None:
        """The request that an earlier leg of this try went to wait for, as far as anything remembers it."""
        current = self.record.current
        if current is not None and current.phase is Phase.SUBMITTED and current.request_id is not None:
            return GivenRequest(current.request_id, current.model, current.submitted_at)
        request_id = self.ti.xcom_pull(task_ids=task_id, key="request_id", map_indexes=self.ti.map_index)
        if not isinstance(request_id, str) or not request_id:
            return None
        if current is None or current.phase is not Phase.INTENT:
            return GivenRequest(request_id, model)
        if request_id in current.others:
            # This try took it up and then bought another one, whose answer was lost.
            return None
        return GivenRequest(request_id, current.model, current.intent_at)

    def ended(self) -> None:
        """The task's process is being ended: say what becomes of the request."""
        if self.purchase is not None and self.request is not None:
            known = COMPLETED_ANYWAY if self.completed else NO_CANCEL
            said = known if self.purchase.outstanding else OVER
            self.log.warning(said, self.request.request_id)
        elif self.submitting or self.searching:
            self.log.warning(MAY_BE_BOUGHT if self.kept is None else LOOKED_FOR)

    def push(self, values: Mapping[str, Any]) -> None:
        """Publish XComs that are not None, nor what this leg published before; one that cannot be published
        does not end a paid task."""
        for key, value in values.items():
            if value is None or self._pushed.get(key) == value:
                continue
            try:
                self.ti.xcom_push(key=key, value=value)
                self._pushed[key] = value
            except Exception:
                self.log.exception("The XCom %s could not be pushed.", key)

    def from_now_on(self, request_id: str) -> str:
        """What a retry does once a request is bought, as its line says before anything can go wrong."""
        return _TAKES_UP if self.stores.stores else self.next_try(request_id)

    def next_try(self, request_id: str) -> str:
        """What a retry does once a request was bought."""
        if self.kept is Phase.INTENT:
            return (
                "Its record could not be completed: a retry looks for it in the account's history, and takes "
                "it up."
            )
        if self.kept is not None:
            return _TAKES_UP
        if self.unread:
            return "Its record could not be read: a retry reads it, and takes up this request."
        why = (
            "This Airflow keeps no record between tries (that needs 3.3, or a destination)"
            if not self.stores.stores
            else "Its record could not be written"
        )
        collect = f"SegmindHook({self.hook.segmind_conn_id!r}).wait({request_id!r})"
        return f"{why}: a retry buys a new request. Collect this one with {collect}."

    def _is_of(self, order: Order) -> bool:
        if self.assumed:
            return False
        return self.purchase is None or self.purchase.fingerprint == order.fingerprint

    def _without(self, intent: Purchase, revision: int) -> Record:
        """The record as it was before an intent that came to nothing, later than the one that has it."""
        earlier = replace(self.record, revision=revision + 1, refused_since=None)
        if self.record.of(intent.fingerprint) is not None:
            return earlier
        # Only its seed is worth keeping. What was dealt with before is so again: it may be under way.
        return earlier.with_refused(replace(intent, phase=Phase.FAILED))

    def _take_back(self, intent: Purchase, earlier: Record, without: int = 0) -> None:
        """Record that an intent came to nothing. ``without``: how many of the places have not got it."""
        errors = self.stores.write(earlier)
        if without == len(self.stores.stores):
            return
        for error in errors:
            self.log.error("That nothing was bought could not be recorded. %s", error.message)
        if len(errors) == len(self.stores.stores):
            self.stuck = intent

    def _push_id(self) -> None:
        if self.purchase is not None:
            self.push({"request_id": self.purchase.request_id})

    def _become(
        self, phase: Phase, result: Mapping[str, Any] | None = None, cost: float | None = None
    ) -> None:
        if self.purchase is not None:
            before = None if phase is Phase.LANDED else self.purchase.instead_of
            self._keep(replace(self.purchase, phase=phase, result=result, cost=cost, instead_of=before))

    def _keep(self, purchase: Purchase) -> None:
        """Record what has happened already: whatever is wrong with a store does not undo it."""
        self.purchase = purchase
        record = self.record.updated(purchase, self.ti.max_tries)
        errors = self.stores.write(record)
        for error in errors:
            self.log.error(
                "%s is %s, and that could not be recorded. %s", purchase.name, purchase.phase, error.message
            )
        self.record = record
        if len(errors) < len(self.stores.stores):
            self.kept = purchase.phase
