"""What Airflow reads about this provider. Imports nothing, so that discovery costs nothing."""

from __future__ import annotations

from typing import Any

_INTEGRATION = "Segmind"

_POLICIES = {
    "on_orphaned_intent": (
        "When the account's history knows nothing of a submit whose answer was lost: fail (each retry looks "
        "again), or resubmit, which may pay twice.",
        ("fail", "resubmit"),
    ),
    "on_clear": (
        "When a task is cleared whose video is there or on its way: reuse it, or regenerate, which buys "
        "another one.",
        ("reuse", "regenerate"),
    ),
    "on_stale_state": (
        "When a task's parameters differ from those that an earlier try bought: resubmit, which buys what is "
        "asked for now, or fail.",
        ("resubmit", "fail"),
    ),
}
"""What each policy is for, and its values, the default first."""

_LANDING = {
    "max_bytes": ("Files of more bytes than this are not copied. The default is 2 GiB.", "104857600"),
    "landing_concurrency": (
        "How many files a triggerer copies to remote destinations at the same time. The default is 4.",
        "8",
    ),
}
"""What is copied by whom: a description, and an example."""


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
        "transfers": [
            {
                "source-integration-name": _INTEGRATION,
                "target-integration-name": "Object storage",
                "python-module": "airflow_ltx.transfers.segmind_to_object_storage",
            },
        ],
        "triggers": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    "airflow_ltx.triggers.segmind",
                    "airflow_ltx.triggers.recovery",
                    "airflow_ltx.triggers.turn",
                ],
            },
        ],
        "extra-links": ["airflow_ltx.links.segmind.SegmindOutputLink"],
        "config": {
            "segmind": {
                "description": "Defaults of this deployment for tasks of the Segmind provider. The arguments "
                "of a task and the extras of its connection come first.",
                "options": {
                    name: {
                        "description": f"{told} The default is {choices[0]}.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": choices[1],
                        "default": None,
                    }
                    for name, (told, choices) in _POLICIES.items()
                }
                | {
                    name: {
                        "description": told,
                        "version_added": "0.1.0",
                        "type": "integer",
                        "example": example,
                        "default": None,
                    }
                    for name, (told, example) in _LANDING.items()
                },
            }
        },
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
                    "requests_per_minute": {
                        "label": "Requests per minute",
                        "description": "The account's limit, which each triggerer keeps to. Default: learned "
                        "from refusals.",
                        "schema": {"type": ["integer", "null"], "minimum": 1},
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
                    "allow_private_hosts": {
                        "label": "Allow private file hosts",
                        "description": "Files may also be fetched from loopback and private addresses. They "
                        "may in any case if the service is at one.",
                        "schema": {"type": ["boolean", "null"]},
                    },
                    **{
                        name: {
                            "label": name,
                            "description": f"{told} A task's own argument comes first.",
                            "schema": {"type": ["string", "null"], "enum": [*choices, None]},
                        }
                        for name, (told, choices) in _POLICIES.items()
                    },
                },
            }
        ],
    }
