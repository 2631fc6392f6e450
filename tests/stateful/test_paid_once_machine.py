"""Whatever happens to tasks, processes, service and history: paid once, never lost, green only with its file.

``LTX_EXAMPLES`` is the number of examples in all; ``make soak`` plays many.
"""

from __future__ import annotations

import os
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.virtual.books import Order
from tests.virtual.directing import ANY_MODEL, LTX, play
from tests.virtual.stage import Stage
from tests.virtual.tasks import Accident, State

EXAMPLES = int(os.environ.get("LTX_EXAMPLES", "2000"))
PARTS = 4
STEPS = 15

SUBMIT_FAULTS = (
    "submit:after:reset",
    "submit:after:stall:100",
    "submit:after:504",
    "submit:after:garbage",
    "submit:after:truncate:9",
    "submit:before:reset",
    "submit:before:503",
    "submit:before:stall:100",
    "submit:before:429:5",
    "submit:before:402",
    "submit:after:fail",
    "submit:after:fail:Content was flagged by moderation",
)
READ_FAULTS = (
    "status:before:503*3",
    "status:before:reset*40",
    "status:before:404",
    "status:before:401*4",
    "status:before:stall:100",
    "status:after:status:THINKING*3",
    "result:before:500*2",
    "result:after:truncate:20*2",
    "result:before:404",
    "download:before:reset*2",
    "download:after:truncate:40",
    "download:before:403*80",
    "download:before:404",
)
HISTORY_FAULTS = (
    "history:before:503*inf",
    "history:before:503*3",
    "history:after:truncate:60*3",
    "history:after:empty*2",
    "history:before:html*inf",
    "history:before:401*3",
    "history:before:stall:100*2",
)

accidents = st.builds(
    Accident, st.integers(1, 30), st.sampled_from(["kill", "kill", "term", "timeout", "clear"])
)
orders = st.builds(
    Order, st.integers(0, 2), st.sampled_from([None, None, 1]), st.sampled_from([None, None, None, 7])
)
policies = st.fixed_dictionaries(
    {
        "on_orphaned_intent": st.sampled_from(["fail", "resubmit"]),
        "on_clear": st.sampled_from(["reuse", "reuse", "regenerate"]),
        "on_stale_state": st.sampled_from(["resubmit", "resubmit", "fail"]),
    }
)
tasks = st.integers(0, 2)


class PaidOnce(RuleBasedStateMachine):
    """Three mapped instances of one task."""

    stage: ClassVar[Stage]
    model: ClassVar[str]

    @initialize(
        given=st.lists(orders, min_size=3, max_size=3),
        landing=st.sampled_from(["folder", "file", "none", "no wait"]),
        remembers=st.sampled_from([True, True, False]),
        deferrable=st.booleans(),
        retries=st.integers(0, 3),
        policies=policies,
        seed=st.integers(0, 3),
    )
    def begin(
        self,
        given: list[Order],
        landing: str,
        remembers: bool,
        deferrable: bool,
        retries: int,
        policies: dict[str, str],
        seed: int,
    ) -> None:
        self.world = play(
            self.stage,
            model=self.model,
            orders=given,
            landing=landing,
            remembers=remembers,
            deferrable=deferrable,
            retries=retries,
            seed=seed,
            **policies,
        )

    @rule(index=tasks)
    def work(self, index: int) -> None:
        """The next leg of a task, as soon as it can run; one that is over is cleared first."""
        self._leg(index)

    @rule(index=tasks)
    def work_to_the_end(self, index: int) -> None:
        self._leg(index)
        while self.world.tasks[index].state in (State.READY, State.DEFERRED):
            self._leg(index)

    @rule(index=tasks, accident=accidents)
    def meet_with(self, index: int, accident: Accident) -> None:
        """A leg that ends otherwise than it should."""
        self._leg(index, accident)

    @rule(
        index=tasks,
        fault=st.sampled_from(SUBMIT_FAULTS),
        then=st.none() | st.sampled_from(HISTORY_FAULTS),
        accident=st.none() | accidents,
    )
    def submit_in_vain(self, index: int, fault: str, then: str | None, accident: Accident | None) -> None:
        """The next submit of this task's scene goes wrong, and perhaps the search for it."""
        self.world.service.fault(f"{fault}@Scene {self.world.orders[index].scene}")
        if then is not None:
            self.world.service.fault(then)
        self._leg(index, accident)

    @rule(
        index=tasks,
        seconds=st.sampled_from([1.0, 50.0, 200.0]),
        then=st.none() | st.sampled_from(HISTORY_FAULTS),
    )
    def submit_late(self, index: int, seconds: float, then: str | None) -> None:
        """The next submit arrives when nobody waits for its answer any more."""
        self.world.service.delayed.append(seconds)
        if then is not None:
            self.world.service.fault(then)
        self._leg(index)

    @rule(index=tasks, fault=st.sampled_from(READ_FAULTS))
    def read_in_vain(self, index: int, fault: str) -> None:
        self.world.service.fault(fault)
        self._leg(index)

    @rule(index=tasks, fault=st.sampled_from(HISTORY_FAULTS))
    def search_in_vain(self, index: int, fault: str) -> None:
        self.world.service.fault(fault)
        self._leg(index)

    @rule(index=tasks, calls=st.integers(1, 8))
    def call_in_vain(self, index: int, calls: int) -> None:
        """So many calls find nobody."""
        self.world.service.unreachable = calls
        self._leg(index)

    @rule(index=tasks, what=st.sampled_from(["task_state", "xcom", "disk"]), times=st.integers(1, 5))
    def be_refused(self, index: int, what: str, times: int) -> None:
        """Airflow's API server, or the disk, refuses so often."""
        setattr(self.world.refusals, what, times)
        self._leg(index)

    @rule(
        rows=st.sampled_from([0.0, 20.0, 100.0, 300.0]),
        fields=st.sampled_from([0.0, 30.0]),
        inference=st.sampled_from([10.0, 100.0, 250.0]),
    )
    def slow_down(self, rows: float, fields: float, inference: float) -> None:
        """The history lags behind the service, and the service behind the deadline."""
        self.world.service.core.configure(
            {"history_lag_seconds": rows, "record_lag_seconds": fields, "inference_seconds": inference}
        )

    @rule()
    def heal(self) -> None:
        self.world.heal()

    @rule(index=tasks)
    def come_to_an_end(self, index: int) -> None:
        """Nothing goes wrong any more: what was bought is collected, and nothing is bought beside it."""
        world, task = self.world, self.world.tasks[index]
        world.heal()
        world.triggerer.start()
        # A try that is under way goes on with what it has begun.
        order = world.orders[index] if task.between_tries else task.orders[0]
        left = world.books.collectable(task, order)
        if order != world.orders[index]:
            # Should the try that is under way fail, the next one asks for something else.
            left = set()
        for _ in range(4):
            self.work_to_the_end(index)
            if task.state is State.SUCCESS:
                break
        terms = world.books.terms
        if left and (terms.on_clear, terms.on_stale_state) == ("reuse", "resubmit"):
            assert task.state is State.SUCCESS, f"{left} is not collected: {world.told[-3:]}"
            assert task.result["request_id"] in left

    @rule(index=tasks)
    def clear(self, index: int) -> None:
        """Whatever state it is in."""
        self.world.clear(self.world.tasks[index])
        self._leg(index)

    @rule(index=tasks, order=orders)
    def ask_for_something_else(self, index: int, order: Order) -> None:
        self.world.orders[index] = order
        self._leg(index)

    @rule(index=tasks, given=st.permutations([0, 1, 2]))
    def expand_anew(self, index: int, given: list[int]) -> None:
        """The list that is mapped over comes in another order, its links signed anew."""
        self.world.signature += 1
        self.world.orders = [self.world.orders[number] for number in given]
        self._leg(index)

    @rule(seconds=st.sampled_from([1.0, 10.0, 70.0, 130.0, 900.0, 3700.0]))
    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(index=tasks, step=st.none() | st.integers(0, 12))
    def end_triggerer(self, index: int, step: int | None) -> None:
        """Another one takes over at once, and ends itself at that step; none if there is no step."""
        if step is None:
            self.world.triggerer.die()
        else:
            self.world.triggerer.start(step or None)
            self._leg(index)

    @rule(index=tasks)
    def take_for_dead(self, index: int) -> None:
        """The scheduler fails a task that is deferred."""
        task = self.world.tasks[index]
        if task.state is State.DEFERRED:
            self.world.give_up(task)
        self._leg(index)

    @invariant()
    def holds(self) -> None:
        self.world.books.check()

    def _leg(self, index: int, accident: Accident | None = None) -> None:
        task = self.world.tasks[index]
        if task.state in (State.SUCCESS, State.FAILED):
            self.world.clear(task)
        if task.state is State.DEFERRED:
            self.world.wait_for(task)
        if task.state is State.READY:
            self.world.run(task, accident)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.close()


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("model", [LTX, ANY_MODEL])
def test_whatever_happens_nothing_is_paid_twice_or_lost(stage, model, part):
    # By its name each part has examples of its own.
    machine = type(f"PaidOnceBy{model}{part}", (PaidOnce,), {"stage": stage, "model": model})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(1, EXAMPLES // (2 * PARTS)),
            stateful_step_count=STEPS,
            # The first examples of a process are slow, and every rule may be chosen in every state.
            suppress_health_check=list(HealthCheck),
            # An explanation traces every line: what was found would be shrunk far too slowly.
            phases=[phase for phase in Phase if phase is not Phase.explain],
        ),
    )
