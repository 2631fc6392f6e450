"""A world in memory: the service, an Airflow, a disk and a clock."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.virtual.books import Books
from tests.virtual.clock import VirtualClock
from tests.virtual.orders import Order, Terms
from tests.virtual.processes import Refusals
from tests.virtual.service import VirtualService
from tests.virtual.tasks import Accident, State, SteppedState, Task
from tests.virtual.triggerer import TAKE_OVER, Triggerer

Make = Callable[[dict[str, Any], Path, int], Any]


class World:
    """A mapped task, and everything that it meets with.

    :param make: Makes the operator from parameters, the folder to land in, and the map index.
    :param orders: What is mapped over, as far as there are so many: see :attr:`size`.
    :param remembers: Whether this Airflow has a task state.
    :param seed: Of the service's chances.
    :param disk: Where the folder is made.
    :param policies: Those that ``make`` gives to the operators; may change.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        make: Make,
        orders: list[Order],
        terms: Terms,
        *,
        remembers: bool = True,
        retries: int = 2,
        seed: int = 0,
        disk: str | None = None,
        policies: dict[str, str] | None = None,
    ) -> None:
        self.clock = VirtualClock(loop)
        self.service = VirtualService(self.clock, seed)
        self.folder = Path(tempfile.mkdtemp(prefix="airflow-ltx-world-", dir=disk))
        self.told: list[str] = []
        self.orders = list(orders)
        self.size = len(orders)
        self.policies = {} if policies is None else policies
        self.signature = 0
        self._make = make
        self.refusals = Refusals()
        self.tasks = [
            Task(index, self._built, SteppedState() if remembers else None, retries, self.told, self.refusals)
            for index in range(len(orders))
        ]
        self.triggerer = Triggerer(self.clock, self.tasks)
        self.books = Books(self.clock, self.service, self.tasks, self.folder, self.told, terms)

    def close(self) -> None:
        """Leave nothing behind."""
        self.triggerer.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self.service.heal()
        self.refusals.task_state = self.refusals.xcom = self.refusals.disk = 0

    def run(self, task: Task, accident: Accident | None = None) -> None:
        """The next leg of a task that is ready."""
        task.run(accident)
        self.books.heed(task)
        if (
            accident is not None
            and accident.how == "clear"
            and task.process is not None
            and task.process.dead
        ):
            self.books.cleared(task)
        if task.state is State.SUCCESS:
            self.books.check_return_value(task)
        if task.ended_for_good:
            self.books.check_end(task)
        if task.deferral is not None:
            assert task.deferral.timeout is not None, "a deferral without a limit may last for ever"
            limit = self.clock.now + task.deferral.timeout.total_seconds()
            number = task.number
            self.clock.at(limit, lambda: task.time_out(number))
        self.triggerer.look()

    def wait_for(self, task: Task) -> None:
        """Until a deferral is over; a dead triggerer is followed by another one meanwhile."""
        if self.triggerer.dead:
            self.pass_time(TAKE_OVER)
            self.triggerer.start()
        # Each deferral has a limit, which is on the clock's agenda.
        self.clock.pass_until(float("inf"), lambda: task.state is not State.DEFERRED or self.triggerer.dead)
        self.triggerer.look()

    def pass_time(self, seconds: float) -> None:
        """Whatever is under way goes on."""
        self.clock.pass_until(self.clock.now + seconds)
        self.triggerer.look()

    def clear(self, task: Task) -> None:
        """A person clears a task that is not running."""
        was_deferred = task.state is State.DEFERRED
        task.clear()
        self.books.cleared(task)
        self.triggerer.look()
        if was_deferred:
            self.triggerer.tell_of_its_end(task)

    def expand_to(self, size: int) -> None:
        """The list that is mapped over has another length, as after its task was cleared."""
        for task in self.tasks[size : self.size]:
            was_deferred = task.state is State.DEFERRED
            task.remove()
            self.triggerer.look()
            if was_deferred:
                self.triggerer.tell_of_its_end(task)
        for task in self.tasks[self.size : size]:
            task.restore()
        self.size = size

    def set_on_clear(self, on_clear: str) -> None:
        """The author, or whoever sets the variable that it is templated with, wants something else now."""
        self.policies["on_clear"] = on_clear
        self.books.terms = replace(self.books.terms, on_clear=on_clear)
        for task in self.tasks:
            # A try that died before it could read its record leaves its clear to the next one.
            if task.ever_cleared:
                self.books.cleared(task)

    def give_up(self, task: Task) -> None:
        """The scheduler takes a deferred task for dead."""
        task.fail()
        self.triggerer.look()

    def _built(self, index: int) -> tuple[Any, Order]:
        order = self.orders[index]
        return self._make(order.parameters(self.signature), self.folder, index), order
