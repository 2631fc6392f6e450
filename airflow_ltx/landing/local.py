"""Landing on this machine's disk. The file that appears whole or not at all is the API layer's, since a
synchronous run writes one too."""

from __future__ import annotations

from airflow_ltx.segmind.whole_file import Written, check_writable, write_whole

__all__ = ["Written", "check_writable", "write_whole"]
