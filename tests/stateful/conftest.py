"""The stage on which worlds are played."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.virtual.stage import Stage, virtual_stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    with virtual_stage() as stage:
        yield stage
