"""Fixtures of the tests over real sockets."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("complaints")

from complaints import bench  # noqa: E402, F401 - a fixture
