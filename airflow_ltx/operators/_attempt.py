"""One try of a task: buys a request, or takes up the one that an earlier try bought."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_ltx.durability.record import Record, Step, decide, fingerprint
from airflow_ltx.operators._lifecycle import next_try
from airflow_ltx.segmind.models import SubmittedRequest

if TYPE_CHECKING:
    from airflow_ltx.durability.store import RecordStore
    from airflow_ltx.hooks.segmind import SegmindHook
    from airflow_ltx.landing.destination import Destination


@dataclass(slots=True)
class Attempt:
    """What one try works with.

    :param ti: The running task instance: ``max_tries``, ``try_number``, ``xcom_push``.
    :param store: Where purchases outlive tries; None if this Airflow has no such place.
    :param request: Set as soon as there is one, so that ``on_kill`` can name it.
    """

    ti: Any
    hook: SegmindHook
    store: RecordStore | None
    log: Any
    model: str
    parameters: dict[str, Any]
    destination: Destination | None
    request: SubmittedRequest | None = None
    reused: bool = False

    def obtain(self) -> SubmittedRequest:
        """Take up what is on record for this task instance, or buy. The one place where money is spent.

        :raises SegmindError: Nothing was bought, but for ``SubmitOutcomeUnknown``.
        """
        wanted = fingerprint(self.model, self.parameters)
        record = self.store.read() if self.store else None
        decision = decide(record, wanted, self.ti.max_tries)
        if decision.abandoned:
            self.log.warning(
                "Abandoned request %s of an earlier try: %s. It was bought, goes on, and is billed.",
                decision.abandoned,
                decision.reason,
            )
        if decision.step is Step.REATTACH and record is not None:
            request = SubmittedRequest(record.request_id, record.model, record.submitted_at)
            self.reused = True
            self._announce(request)
            self.log.info(
                "Reattached to request %s, bought %.0f s ago: %s. Nothing is bought.",
                request.request_id,
                time.time() - request.submitted_at,
                decision.reason,
            )
            return request
        request = self.hook.submit(self.model, self.parameters)
        self.request = request
        recorded = self._record(request, wanted)
        self._announce(request)
        self.log.info(
            "Bought request %s of %s. %s",
            request.request_id,
            request.model,
            next_try(recorded=recorded, request_id=request.request_id),
        )
        return request

    def resume(self, request: SubmittedRequest) -> None:
        """Take over from the trigger; who bought the request stands in the record."""
        self.request = request
        record = self.store.read() if self.store else None
        self.reused = (
            record is not None
            and record.request_id == request.request_id
            and record.try_number != self.ti.try_number
        )

    def settle(self) -> None:
        """Mark that nothing is left to collect: a person who clears the task now wants a new request."""
        record = self.store.read() if self.store else None
        if self.store and record:
            self.store.write(replace(record, settled=True, max_tries=self.ti.max_tries))

    def forget(self) -> None:
        """Nothing was billed: the next try may buy."""
        if self.store:
            self.store.clear()

    def _record(self, request: SubmittedRequest, wanted: str) -> bool:
        if self.store is None:
            return False
        try:
            self.store.write(
                Record(
                    request_id=request.request_id,
                    model=request.model,
                    fingerprint=wanted,
                    submitted_at=request.submitted_at,
                    max_tries=self.ti.max_tries,
                    try_number=self.ti.try_number,
                )
            )
        except Exception:
            # The request is bought: whatever is wrong with the store, waiting for it is the best course.
            self.log.exception("Request %s could not be recorded.", request.request_id)
            return False
        return True

    def _announce(self, request: SubmittedRequest) -> None:
        self.request = request
        self.ti.xcom_push(key="request_id", value=request.request_id)
