"""Rendered files on disk: each made once, off the event loop, and kept while there is room."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from airflow_ltx.emulator.resolution import VideoPlan
from airflow_ltx.emulator.video import render


class FileStore:
    """A bounded folder of files, least recently used out first; what was dropped is rendered anew.

    :param on_rendered: Called in the event loop with the plan and the size in bytes.
    :param modified_at: The modification time of a plan's file. The validators of HTTP caches are made from
        it, so that they survive a second rendering.
    """

    def __init__(
        self,
        on_rendered: Callable[[VideoPlan, int], None],
        modified_at: Callable[[VideoPlan], float],
        *,
        limit: int = 256,
        threads: int | None = None,
    ) -> None:
        self._on_rendered = on_rendered
        self._modified_at = modified_at
        self._limit = limit
        self._folder = tempfile.TemporaryDirectory(prefix="segmind-emulator-")
        # The encoder does not hold the interpreter lock, so threads are enough to keep the server quick.
        self._pool = ThreadPoolExecutor(threads or min(4, os.cpu_count() or 1), "segmind-emulator-render")
        self._closing = threading.Event()
        self._files: OrderedDict[str, asyncio.Task[Path]] = OrderedDict()
        self._held: Counter[str] = Counter()

    def prepare(self, plan: VideoPlan) -> None:
        """Begin to render, if nobody did; return at once."""
        self._start(plan)

    @asynccontextmanager
    async def held(self, plan: VideoPlan) -> AsyncIterator[Path]:
        """Yield the path of the rendered file, which stays while the context lasts."""
        self._held[plan.file_name] += 1
        try:
            # One caller that goes away must not take the file from the others.
            yield await asyncio.shield(self._start(plan))
        finally:
            self._held[plan.file_name] -= 1
            if not self._held[plan.file_name]:
                del self._held[plan.file_name]

    async def close(self) -> None:
        """Drop what is waiting to be rendered, end the threads and remove the folder."""
        self._closing.set()
        tasks = list(self._files.values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._pool.shutdown, wait=True)
        self._folder.cleanup()

    def _start(self, plan: VideoPlan) -> asyncio.Task[Path]:
        name = plan.file_name
        task = self._files.get(name)
        failed = task is not None and task.done() and (task.cancelled() or task.exception() is not None)
        if task is None or failed:
            task = self._files[name] = asyncio.create_task(self._render(plan))
        self._files.move_to_end(name)
        self._make_room()
        return task

    async def _render(self, plan: VideoPlan) -> Path:
        path = Path(self._folder.name) / plan.file_name
        moment = self._modified_at(plan)
        size = await asyncio.get_running_loop().run_in_executor(
            self._pool, _render_at, plan, path, moment, self._closing
        )
        self._on_rendered(plan, size)
        return path

    def _make_room(self) -> None:
        for name in list(self._files)[: max(0, len(self._files) - self._limit)]:
            task = self._files[name]
            if task.done() and not self._held[name]:
                del self._files[name]
                if not task.cancelled() and task.exception() is None:
                    task.result().unlink(missing_ok=True)


def _render_at(plan: VideoPlan, path: Path, moment: float, closing: threading.Event) -> int:
    size = render(plan, path, closing.is_set)
    os.utime(path, (moment, moment))
    return size
