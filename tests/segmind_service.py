"""A fixture: the emulator on a real socket, with the connection ``segmind_default`` pointing at it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from airflow_ltx.emulator import RunningEmulator, Settings, running_emulator

KEY = "SG_0123456789abcdef"
OTHER_KEY = "SG_eeeeeeeeeeeeeeee"
"""Of another workspace."""

BLOCKED_WORD = "forbiddencontent"


def connection(base_url: str, key: str = KEY) -> str:
    """An Airflow connection as the value of its environment variable."""
    return json.dumps({"conn_type": "segmind", "host": base_url, "password": key})


@pytest.fixture
def segmind(monkeypatch) -> Iterator[RunningEmulator]:
    settings = Settings(
        api_keys=frozenset({KEY, OTHER_KEY}),
        queue_seconds=0.02,
        inference_seconds=0.05,
        blocked_words=frozenset({BLOCKED_WORD}),
        prerender=False,
    )
    with running_emulator(settings) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection(emulator.base_url))
        yield emulator
