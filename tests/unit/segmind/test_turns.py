"""The queue in front of a budget: the best first, nobody for ever, and no turn lost to who gave up."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_ltx.exceptions import RateLimited
from airflow_ltx.segmind.pace import Pace
from airflow_ltx.segmind.turns import Turn, Turns
from tests.virtual.quick_loop import EPOCH, epoch, run_quickly


def turns(limit: float | None = None, at_once: int = 32) -> Turns:
    pace = Pace(limit)
    for _ in range(1000):
        # A limit that is not known is nothing new to it.
        pace.answered(EPOCH - 3600)
    return Turns(pace, at_once=at_once, clock=epoch, sleep=asyncio.sleep)


def worth(value: float) -> Turn:
    return Turn(lambda at: value)


def test_without_a_limit_nobody_waits() -> None:
    async def main() -> None:
        queue = turns()
        for _ in range(1000):
            async with queue.have():
                pass
        assert epoch() == EPOCH

    run_quickly(main())


def test_the_call_that_is_worth_most_goes_first() -> None:
    async def main() -> list[float]:
        queue, served = turns(60), []

        async def call(value: float) -> None:
            async with queue.have(worth(value)):
                served.append(value)

        async with queue.have():
            pass
        values = [0.1, 0.5, 1.0, 0.9, 0.3, 0.7]
        await asyncio.gather(*map(call, values))
        return served

    assert run_quickly(main()) == [1.0, 0.9, 0.7, 0.5, 0.3, 0.1]


def test_among_equals_who_has_waited_longest_goes_first() -> None:
    async def main() -> list[int]:
        queue, served = turns(60), []

        async def call(number: int) -> None:
            await asyncio.sleep(number / 10)
            async with queue.have():
                served.append(number)

        await asyncio.gather(*map(call, range(10)))
        return served

    assert run_quickly(main()) == list(range(10))


def test_no_more_calls_are_under_way_than_there_are_connections() -> None:
    async def main() -> tuple[int, float]:
        queue, most, now = turns(at_once=5), 0, 0

        async def call() -> None:
            nonlocal most, now
            async with queue.have():
                now += 1
                most = max(most, now)
                await asyncio.sleep(1)
                now -= 1

        await asyncio.gather(*(call() for _ in range(50)))
        return most, epoch() - EPOCH

    assert run_quickly(main()) == (5, pytest.approx(10))


def test_while_no_limit_is_known_few_calls_are_under_way_until_many_were_answered() -> None:
    async def main() -> list[int]:
        pace, under_way, most = Pace(), 0, []
        queue = Turns(pace, at_once=32, clock=epoch, sleep=asyncio.sleep)

        async def call() -> None:
            nonlocal under_way
            async with queue.have():
                under_way += 1
                most.append(under_way)
                await asyncio.sleep(0.2)
                under_way -= 1
                pace.answered(epoch())

        await asyncio.gather(*(call() for _ in range(2000)))
        return most

    most = run_quickly(main())
    assert max(most[:60]) == 2
    assert max(most) == 32
    assert all(number <= max(2, done / 30) for done, number in enumerate(most))


def test_a_turn_that_would_come_too_late_is_not_waited_for() -> None:
    async def main() -> list[float]:
        pace = Pace(60)
        queue = Turns(pace, at_once=5, clock=epoch, sleep=asyncio.sleep)
        ends = []

        async def call(patience: float) -> None:
            with pytest.raises(RateLimited) as caught:
                async with queue.have(Turn(latest=epoch() + patience)):
                    pass
            assert "nothing was sent" in caught.value.message
            ends.append(epoch() - EPOCH)

        waiting = [asyncio.ensure_future(call(patience)) for patience in (0.5, 12.0, 0.9)]
        async with queue.have():
            pass
        pace.refused(epoch(), 60.0, epoch())
        await asyncio.gather(*waiting)
        return ends

    ends = run_quickly(main())
    # Those that had begun to wait are told within some seconds, not after the whole pause.
    assert all(end <= 6 for end in ends)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([None, 60.0, 600.0]), st.integers(1, 5))
def test_whoever_gives_up_takes_no_turn_along(seed: int, limit: float | None, at_once: int) -> None:
    """Calls come, go and are cancelled at any time; all others are served, and nothing is left behind."""
    draw = random.Random(seed)

    async def main() -> None:
        queue, served = turns(limit, at_once), set()

        async def call(number: int) -> None:
            await asyncio.sleep(draw.random() * 5)
            async with queue.have(worth(draw.random())):
                await asyncio.sleep(draw.random())
            served.add(number)

        calls = [asyncio.ensure_future(call(number)) for number in range(30)]
        for _ in range(15):
            await asyncio.sleep(draw.random())
            draw.choice(calls).cancel()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        cancelled = {number for number, end in enumerate(ended) if end is not None}
        assert served == set(range(30)) - cancelled
        # All places are free again.
        async with asyncio.timeout(400):
            await asyncio.gather(*(call(number) for number in range(at_once)))
        assert queue._waiting == {}
        assert queue._under_way == 0

    run_quickly(main())


def test_thousands_that_wait_are_not_ranked_for_every_call() -> None:
    asked = 0

    def value(at: float) -> float:
        nonlocal asked
        asked += 1
        return 0.5

    async def main() -> float:
        queue = turns(6000.0)

        async def call() -> None:
            async with queue.have(Turn(value)):
                pass

        await asyncio.gather(*(call() for _ in range(2000)))
        return epoch() - EPOCH

    assert run_quickly(main()) < 30
    assert asked < 40_000
