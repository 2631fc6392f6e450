"""What Airflow reads about this provider. Imports nothing, so that discovery costs nothing."""

from __future__ import annotations

from typing import Any

_INTEGRATION = "Segmind"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata in the shape of Airflow's provider-info schema."""
    return {
        "package-name": "airflow-provider-ltx",
        "name": "LTX-Video on Segmind",
        "description": "Buys one video per task from LTX-Video on Segmind, waits without holding a worker, "
        "and keeps the file before the service forgets it.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://www.segmind.com/models/ltx-video/api",
                "tags": ["service"],
            }
        ],
        "hooks": [
            {"integration-name": _INTEGRATION, "python-modules": ["airflow_ltx.hooks.segmind"]},
        ],
        "operators": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": ["airflow_ltx.operators.segmind", "airflow_ltx.operators.ltx"],
            },
        ],
        "sensors": [
            {"integration-name": _INTEGRATION, "python-modules": ["airflow_ltx.sensors.segmind"]},
        ],
        "triggers": [
            {"integration-name": _INTEGRATION, "python-modules": ["airflow_ltx.triggers.segmind"]},
        ],
        "extra-links": ["airflow_ltx.links.segmind.SegmindOutputLink"],
        "connection-types": [
            {
                "connection-type": "segmind",
                "hook-class-name": "airflow_ltx.hooks.segmind.SegmindHook",
                "hook-name": "Segmind",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "login", "port", "extra"],
                    "relabeling": {"password": "API key", "host": "Base URL"},
                    "placeholders": {
                        "password": "SG_0123456789abcdef",
                        "host": "https://api.segmind.com",
                    },
                },
                "conn-fields": {
                    "timeout": {
                        "label": "Read timeout (seconds)",
                        "description": "How long one call to the service may take to answer. Default 30.",
                        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
                    },
                    "history_url": {
                        "label": "History URL",
                        "description": "Where the request history is. Default: Segmind's own host, or the "
                        "base URL if that is another one. The key is sent there.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "upload_url": {
                        "label": "Upload URL",
                        "description": "Where files are uploaded to. Default as for the history. The key is "
                        "sent there.",
                        "schema": {"type": ["string", "null"]},
                    },
                },
            }
        ],
    }
