"""One try of a task: buys a request, or takes up the one that an earlier try bought."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowTaskTimeout

from airflow_ltx.durability.record import Record, Step, decide, fingerprint
from airflow_ltx.durability.store import record_store
from airflow_ltx.exceptions import SegmindError, SubmitOutcomeUnknown
from airflow_ltx.request import GivenRequest
from airflow_ltx.segmind.models import SubmittedRequest

if TYPE_CHECKING:
    from airflow_ltx.durability.store import RecordStore
    from airflow_ltx.hooks.segmind import SegmindHook


@dataclass(slots=True)
class Attempt:
    """What one try works with, and what it knows of the money spent.

    :param ti: The running task instance: ``max_tries``, ``try_number``, ``xcom_push``.
    :param store: Where purchases outlive tries; None if this Airflow has no such place.
    :param record: What an earlier try, or an earlier leg of this one, left there.
    :param request: Set as soon as there is one, so that ``on_kill`` can name it.
    :param submitting: A submit is under way: whether it bought is not known.
    :param completed: The request is over; what remains is to fetch its file.
    """

    ti: Any
    hook: SegmindHook
    store: RecordStore | None
    log: Any
    record: Record | None = None
    request: SubmittedRequest | None = None
    reused: bool = False
    recorded: bool = False
    submitting: bool = False
    completed: bool = False

    @classmethod
    def begin(cls, context: Mapping[str, Any], hook: SegmindHook, log: Any) -> Attempt:
        """Read the record before anything else, so that whatever fails next can name what was bought.

        :raises ConfigurationError: The record cannot be understood.
        """
        store = record_store(context)
        return cls(context["ti"], hook, store, log, record=store.read() if store else None)

    @property
    def outstanding(self) -> str | None:
        """Id of a request that an earlier try bought and nobody collected yet.

        A settled one counts while nobody has cleared the task: then the earlier try's success was lost.
        """
        record = self.record
        if record is None or (record.settled and record.max_tries != self.ti.max_tries):
            return None
        return record.request_id

    def obtain(self, model: str, parameters: Mapping[str, Any]) -> SubmittedRequest:
        """Take up what is on record for this task instance, or buy. The one place where money is spent.

        :raises SegmindError: Nothing was bought, but for ``SubmitOutcomeUnknown``.
        """
        wanted = fingerprint(model, parameters)
        decision = decide(self.record, wanted, self.ti.max_tries)
        if decision.abandoned:
            self.log.warning(
                "Abandoned request %s of an earlier try: %s. It was bought, goes on, and is billed.",
                decision.abandoned,
                decision.reason,
            )
        if decision.step is Step.REATTACH and self.record is not None:
            request = SubmittedRequest(self.record.request_id, self.record.model, self.record.submitted_at)
            self.reused = self.recorded = True
            self.log.info(
                "Reattached to request %s, bought %.0f s ago: %s. Nothing is bought.",
                request.request_id,
                time.time() - request.submitted_at,
                decision.reason,
            )
        else:
            # Whatever was outstanding is left behind here: no retry of this purchase would take it up.
            self.record = None
            request = self._buy(model, parameters, wanted)
            self.log.info("Request %s: %s", request.request_id, self.next_try(request.request_id))
        self.request = request
        self.push({"request_id": request.request_id})
        return request

    def resume(self, request: SubmittedRequest, wanted: str | None) -> None:
        """Take over from the trigger; mend a record that could not be written before.

        :param wanted: Fingerprint of what was bought, None if that cannot be told any more.
        """
        self.request = request
        if self.record is not None and self.record.request_id == request.request_id:
            self.recorded = True
            self.reused = self.record.try_number != self.ti.try_number
        elif wanted is not None:
            self._write(request, wanted)

    def deferred_request(self, task_id: str, model: str) -> GivenRequest | None:
        """The request that an earlier leg of this try went to wait for, as far as anything remembers it."""
        if self.record is not None and not self.record.settled:
            return GivenRequest(self.record.request_id, self.record.model, self.record.submitted_at)
        request_id = self.ti.xcom_pull(task_ids=task_id, key="request_id", map_indexes=self.ti.map_index)
        return GivenRequest(request_id, model) if isinstance(request_id, str) and request_id else None

    def push(self, values: Mapping[str, Any]) -> None:
        """Publish XComs that are not None; one that cannot be published does not end a paid task."""
        for key, value in values.items():
            if value is None:
                continue
            try:
                self.ti.xcom_push(key=key, value=value)
            except Exception:
                self.log.exception("The XCom %s could not be pushed.", key)

    def settle(self) -> None:
        """Mark that nothing is left to collect: a person who clears the task now wants a new request."""
        if self.store is None or self.record is None:
            return
        try:
            self.store.write(replace(self.record, settled=True, max_tries=self.ti.max_tries))
        except Exception:
            # The video is there, or the error that comes next says more than this one.
            self.log.exception("The record of request %s could not be settled.", self.record.request_id)

    def forget(self) -> None:
        """Nothing was billed: the next try may buy."""
        if self.store is None:
            return
        try:
            self.store.clear()
        except Exception:
            # The next try then looks at the failed request once more, and forgets it.
            self.log.exception("The record of a failed request could not be removed.")

    def next_try(self, request_id: str) -> str:
        """What a retry does once a request was bought."""
        if self.recorded:
            return "A retry takes up this request and buys nothing."
        why = (
            "This Airflow keeps no record between tries (that needs 3.3)"
            if self.store is None
            else "Its record could not be written"
        )
        collect = f"SegmindHook({self.hook.segmind_conn_id!r}).wait({request_id!r})"
        return f"{why}: a retry buys a new request. Collect this one with {collect}."

    def _buy(self, model: str, parameters: Mapping[str, Any], wanted: str) -> SubmittedRequest:
        self.submitting = True
        try:
            request = self.request = self.hook.submit(model, parameters)
            self._write(request, wanted)
        except SegmindError as error:
            self.submitting = isinstance(error, SubmitOutcomeUnknown)
            raise
        except BaseException as error:
            if self.recorded:
                raise
            # Whatever it is (a time-out, an interrupt, an exit): Airflow would retry it, and so buy again.
            timeout = isinstance(error, AirflowTaskTimeout)
            what = "execution_timeout" if timeout else type(error).__name__
            known = f" Its id is {self.request.request_id}." if self.request else ""
            raise SubmitOutcomeUnknown(
                f"{what} ended the task while its submit of {model} was under way. A request may exist and "
                f"be billed; it was not sent again.{known} Look into the request history "
                "(SegmindHook.history, or the Segmind console) before running the task once more."
            ) from error
        self.submitting = False
        return request

    def _write(self, request: SubmittedRequest, wanted: str) -> None:
        if self.store is None:
            return
        record = Record(
            request_id=request.request_id,
            model=request.model,
            fingerprint=wanted,
            submitted_at=request.submitted_at,
            max_tries=self.ti.max_tries,
            try_number=self.ti.try_number,
        )
        try:
            self.store.write(record)
        except Exception:
            # The request is bought: whatever is wrong with the store, waiting for it is the best course.
            self.log.exception("Request %s could not be recorded.", request.request_id)
            return
        self.record, self.recorded = record, True
