"""LTX-Video on Segmind for Apache Airflow: paid once, never lost, never in the way."""

from __future__ import annotations

__version__ = "0.1.0"
