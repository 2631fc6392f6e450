"""The public list of models, as the service's own texts name its parts."""

from __future__ import annotations

from typing import Any

from airflow_ltx.emulator.catalogue import LTX_VIDEO
from airflow_ltx.emulator.messages import EmulatedResponse, json_response
from airflow_ltx.emulator.parameters import LTX_PARAMETERS, json_schema
from airflow_ltx.emulator.service import Call, Service

LIST_KEY = "Inference Segmind Model Information List With Details"


def models(service: Service, _: Call) -> EmulatedResponse:
    """Answer with every model that is served or was, to anybody."""
    retired = service.settings.retired
    slugs = dict.fromkeys([*(model.slug for model in service.settings.models), *sorted(retired)])
    return json_response(200, {LIST_KEY: [_entry(slug, retired=slug in retired) for slug in slugs]})


def _entry(slug: str, *, retired: bool) -> dict[str, Any]:
    # The service spells it so.
    return {"slug": slug, "is_depreciated": retired, "parameters_schema": _schema(slug)}


def _schema(slug: str) -> dict[str, Any]:
    return json_schema(LTX_PARAMETERS if slug == LTX_VIDEO else ())
