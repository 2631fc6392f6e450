"""Runs of LTX tasks for tests, and what they need of Airflow."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.operators.segmind import SegmindSubmitOperator
from runner import TaskRun, TaskState

PROMPT = (
    "A lighthouse on a cliff at dusk, waves breaking far below, slow aerial shot moving towards the lantern "
    "as it lights up, warm light against a deep blue sky, cinematic, fine grain"
)
USUAL = {"task_id": "video", "poll_interval": 0.05, "timeout": 20}


def video(state: bool = True, **arguments: Any) -> TaskRun:
    """A run of one LTX task."""
    return TaskRun(
        lambda: LTXSubmitOperator(**{**USUAL, "prompt": PROMPT, **arguments}),
        state=TaskState() if state else None,
    )


def videos(prompts: Iterable[str], **arguments: Any) -> TaskRun:
    """A run whose prompt is another one on each leg; the last one stays."""
    given = list(prompts)
    following = itertools.chain(given, itertools.repeat(given[-1]))
    return TaskRun(lambda: LTXSubmitOperator(**{**USUAL, "prompt": next(following), **arguments}))


def changing(arguments: Callable[[], Mapping[str, Any]], state: bool = True) -> TaskRun:
    """A run of one LTX task whose arguments are asked for on each leg."""
    return TaskRun(
        lambda: LTXSubmitOperator(**{**USUAL, "prompt": PROMPT, **arguments()}),
        state=TaskState() if state else None,
    )


def clip(state: bool = True, **arguments: Any) -> TaskRun:
    """A run of a model that takes no seed."""
    parameters = {"prompt": PROMPT, "num_frames": 81}
    return TaskRun(
        lambda: SegmindSubmitOperator(
            **{**USUAL, "model": "wan-2.2-t2v-fast", "parameters": parameters, **arguments}
        ),
        state=TaskState() if state else None,
    )


def files(folder: Path) -> list[Path]:
    """What is there besides the records."""
    return [path for path in folder.iterdir() if path.name != "_segmind"]


def ids(segmind: Any) -> list[str]:
    """Of all that was bought, in order."""
    return [entry.request_id for entry in segmind.ledger.submissions]


class Killed(BaseException):
    """What ends a worker at once."""


def killed(*arguments: Any, **options: Any) -> NoReturn:
    """In place of any step: the worker dies there."""
    raise Killed
