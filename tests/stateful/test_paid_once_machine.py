"""Whatever happens to tasks, processes, service and history: paid once, never lost, green only with its file.

``LTX_EXAMPLES`` is the number of examples in all; ``make soak`` plays many.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.virtual.directing import ANY_MODEL, LTX, play
from tests.virtual.orders import Order
from tests.virtual.service import AT_A_COST
from tests.virtual.stage import Stage
from tests.virtual.tasks import Accident, State, Task

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
)
FAILURES = ("The GPU went away", "Content was flagged by moderation", f"It {AT_A_COST}", f"It {AT_A_COST}")
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
tasks = st.integers(0, 3)

REACHED = {
    "a job failed": "Failed requests are not billed",
    "a job failed at a cost": "The service reports a cost",
    "expired": "and the service keeps a record for one hour",
    "expired, and told by the history": None,
    "lost": "No retry buys another one; clearing the task does",
    "lost, and told again": "the task was cleared after its request was lost",
    "lost, and gone for good": "another look found nothing of it",
    "regenerated in vain": "came to nothing|in place of which it was sent",
    "abandoned": "Abandoned request",
    "left behind": "Left behind request",
    "searched in vain": "nothing was bought in its place",
    "bought after a search in vain": "on_orphaned_intent is 'resubmit': another one is bought",
}
"""What examples come to, and how the logs tell it."""


class PaidOnce(RuleBasedStateMachine):
    """A mapped task of up to four instances, three at first."""

    stage: ClassVar[Stage]
    model: ClassVar[str]
    reached: ClassVar[Counter[str]]

    @initialize(
        given=st.lists(orders, min_size=4, max_size=4),
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
        self.world.expand_to(3)

    @rule(index=tasks)
    def work(self, index: int) -> None:
        """The next leg of a task, as soon as it can run; one that is over is cleared first."""
        self._leg(index)

    @rule(index=tasks)
    def work_to_the_end(self, index: int) -> None:
        self._leg(index)
        while self._task(index).state in (State.READY, State.DEFERRED):
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
        self.world.service.fault(f"{fault}@Scene {self._scene(index)}")
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
        world, task = self.world, self._task(index)
        index = task.index
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
        self.world.clear(self._task(index))
        self._leg(index)

    @rule(index=tasks, order=orders)
    def ask_for_something_else(self, index: int, order: Order) -> None:
        self.world.orders[self._task(index).index] = order
        self._leg(index)

    @rule(index=tasks)
    def sign_the_links_anew(self, index: int) -> None:
        """The same pictures, under links with another query."""
        self.world.signature += 1
        self._leg(index)

    @rule(index=tasks, given=st.permutations([0, 1, 2, 3]))
    def expand_in_another_order(self, index: int, given: list[int]) -> None:
        self.world.orders = [self.world.orders[number] for number in given]
        self._leg(index)

    @rule(index=tasks, size=st.integers(1, 4))
    def expand_to(self, index: int, size: int) -> None:
        """The list that is mapped over has grown, or shrunk."""
        self.world.expand_to(size)
        self._leg(index)

    @rule(index=tasks, retries=st.integers(0, 3))
    def change_retries(self, index: int, retries: int) -> None:
        """In the DAG: a task instance heeds that when it is cleared."""
        for task in self.world.tasks:
            task.retries = retries
        self._leg(index)

    @rule(index=tasks, on_clear=st.sampled_from(["reuse", "regenerate"]))
    def change_ones_mind(self, index: int, on_clear: str) -> None:
        """What a clear is to do."""
        self.world.set_on_clear(on_clear)
        self._leg(index)

    @rule(index=tasks, failure=st.sampled_from(FAILURES))
    def fail_a_job(self, index: int, failure: str) -> None:
        """The next request of this task's scene fails, and some are billed all the same."""
        self.world.service.fault(f"submit:after:fail:{failure}@Scene {self._scene(index)}")
        for _ in range(2):
            self._leg(index)

    @rule(index=tasks)
    def expire_while_nobody_looks(self, index: int) -> None:
        self._outlast(index)
        self._leg(index)

    @rule(index=tasks, times=st.integers(1, 3))
    def be_forgotten_for_a_while(self, index: int, times: int) -> None:
        """The service keeps no record any more, and for a while the history says that there is no request."""
        self._outlast(index)
        self.world.service.fault(f"history:before:404*{times}")
        for _ in range(2):
            self._leg(index)

    @rule(
        index=tasks,
        fault=st.sampled_from(
            ["submit:before:reset", "submit:after:reset", f"submit:after:fail:{FAILURES[0]}"]
        ),
    )
    def regenerate_in_vain(self, index: int, fault: str) -> None:
        """A person has another one bought, which comes to nothing or seems to; the first one will do then."""
        self.work_to_the_end(index)
        self.world.service.fault(f"{fault}@Scene {self._scene(index)}")
        for on_clear in ("regenerate", "reuse"):
            self.world.set_on_clear(on_clear)
            self.world.clear(self._task(index))
            for _ in range(2):
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
        task = self._task(index)
        if task.state is State.DEFERRED:
            self.world.give_up(task)
        self._leg(index)

    @rule(index=tasks, back=st.integers(0, 9))
    def be_told_of_another(self, index: int, back: int) -> None:
        """How another task's wait has ended, or an earlier one of its own."""
        self._leg(index)
        task, fired = self._task(index), self.world.triggerer.fired
        if task.state is State.DEFERRED and fired:
            self.world.triggerer.tell_another(task, fired[-1 - back % len(fired)])
        self._leg(index)

    @invariant()
    def holds(self) -> None:
        self.world.books.check()

    def _outlast(self, index: int) -> None:
        """A request of this task gets older than the service's memory, if it can have one."""
        self.world.service.core.configure({"inference_seconds": 250.0})
        if self._task(index).state is not State.DEFERRED:
            self._leg(index)
        self.world.triggerer.die()
        self.world.pass_time(4000.0)

    def _task(self, index: int) -> Task:
        """One of those that there are at present."""
        return self.world.tasks[index % self.world.size]

    def _scene(self, index: int) -> int:
        """What it is to show."""
        return self.world.orders[self._task(index).index].scene

    def _leg(self, index: int, accident: Accident | None = None) -> None:
        task = self._task(index)
        if task.state in (State.SUCCESS, State.FAILED):
            self.world.clear(task)
        if task.state is State.DEFERRED:
            self.world.wait_for(task)
        if task.state is State.READY:
            self.world.run(task, accident)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            for name in self._came_to():
                event(name)
                self.reached[name] += 1
            self.world.close()

    def _came_to(self) -> list[str]:
        told = "\n".join(self.world.told)
        words = [name for name, pattern in REACHED.items() if pattern and re.search(pattern, told)]
        return [*words, "expired, and told by the history"] if self.world.service.told_of else words


def machine(stage: Stage, model: str, name: str = "") -> type[PaidOnce]:
    return type(
        f"PaidOnceBy{model}{name}", (PaidOnce,), {"stage": stage, "model": model, "reached": Counter()}
    )


def once_refused(paid_once: PaidOnce) -> None:
    paid_once.submit_in_vain(0, "submit:before:reset", None, None)
    paid_once.work(0)


def given_up(paid_once: PaidOnce) -> None:
    paid_once.work(0)
    paid_once.world.orders[0] = Order(1)
    paid_once.take_for_dead(0)


def told_otherwise(paid_once: PaidOnce) -> None:
    paid_once.work_to_the_end(0)
    paid_once.ask_for_something_else(0, Order(1))


WAYS = {
    "a job failed": lambda paid_once: paid_once.fail_a_job(0, FAILURES[0]),
    "a job failed at a cost": lambda paid_once: paid_once.fail_a_job(0, FAILURES[-1]),
    "expired": lambda paid_once: paid_once.be_forgotten_for_a_while(0, 1),
    "expired, and told by the history": lambda paid_once: paid_once.expire_while_nobody_looks(0),
    "lost": lambda paid_once: paid_once.be_forgotten_for_a_while(0, 1),
    "lost, and told again": lambda paid_once: paid_once.be_forgotten_for_a_while(0, 1),
    "lost, and gone for good": lambda paid_once: paid_once.be_forgotten_for_a_while(0, 2),
    "regenerated in vain": lambda paid_once: paid_once.regenerate_in_vain(0, "submit:before:reset"),
    "abandoned": given_up,
    "left behind": told_otherwise,
    "searched in vain": once_refused,
    "bought after a search in vain": once_refused,
}
"""To each of ``REACHED`` by the rules alone."""


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("model", [LTX, ANY_MODEL])
@pytest.mark.parametrize("name", REACHED)
def test_there_is_a_way_to_everything_that_examples_are_to_come_to(stage, model, deferrable, name):
    paid_once = machine(stage, model)()
    policies = {"on_clear": "reuse", "on_stale_state": "resubmit", "on_orphaned_intent": "fail"}
    if name.startswith("bought after"):
        policies["on_orphaned_intent"] = "resubmit"
    paid_once.begin([Order(0)] * 4, "folder", True, deferrable, 1, policies, 0)
    try:
        if name == "abandoned" and not deferrable:
            paid_once.world.service.core.configure({"inference_seconds": 250.0})
        WAYS[name](paid_once)
        assert name in paid_once._came_to(), paid_once.world.told
        paid_once.world.books.check()
        paid_once.come_to_an_end(0)
    finally:
        paid_once.world.close()


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("model", [LTX, ANY_MODEL])
def test_whatever_happens_nothing_is_paid_twice_or_lost(stage, model, part, record_property):
    # By its name each part has examples of its own.
    paid_once = machine(stage, model, str(part))
    examples = max(1, EXAMPLES // (2 * PARTS))
    run_state_machine_as_test(
        paid_once,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            # The first examples of a process are slow, and every rule may be chosen in every state.
            suppress_health_check=list(HealthCheck),
            # An explanation traces every line: what was found would be shrunk far too slowly.
            phases=[phase for phase in Phase if phase is not Phase.explain],
        ),
    )
    record_property("examples", examples)
    record_property("reached", dict(paid_once.reached))
