"""The endpoints of uploaded files. An upload costs nothing, and everybody who has its URL can read it."""

from __future__ import annotations

from typing import Any

from airflow_ltx.emulator.assets import FOLDER, TooLargeError, read_data_url
from airflow_ltx.emulator.messages import EmulatedResponse, error_response, html_response, json_response
from airflow_ltx.emulator.service import Call, Service, decode, wrong_content_type
from airflow_ltx.emulator.workspaces import fingerprint


def upload(service: Service, call: Call) -> EmulatedResponse:
    """Keep the files of ``data_urls``, all or none, and answer with a URL for each, in their order."""
    if refusal := wrong_content_type(call):
        return refusal
    body = decode(call.request.body)
    given = body.get("data_urls") if isinstance(body, dict) else None
    if not isinstance(given, list) or not given:
        return error_response(400, "data_urls must be a list of at least one data URL")
    files: list[tuple[str, bytes]] = []
    for position, text in enumerate(given):
        try:
            if not isinstance(text, str):
                raise ValueError("not a text")  # noqa: TRY004 - one answer for all bad input
            files.append(read_data_url(text, service.settings.upload_limit))
        except TooLargeError as error:
            return error_response(413, f"data_urls[{position}]: {error}")
        except ValueError as error:
            return error_response(400, f"data_urls[{position}]: {error}")
    base_url, key = call.request.base_url, fingerprint(call.key)
    assets = [service.assets.add(kind, content, base_url, call.now, key) for kind, content in files]
    service.ledger.assets.extend(assets)
    urls = [f"{base_url}{FOLDER}{asset.name}" for asset in assets]
    answer: dict[str, Any] = {service.settings.upload_shape: urls}
    if service.settings.upload_shape == "file_urls":
        answer["message"] = "Files uploaded successfully"
    return json_response(200, answer)


def asset(service: Service, call: Call) -> EmulatedResponse:
    """Answer with the bytes of an uploaded file, to anybody who knows its name."""
    found = service.assets.get(call.name)
    if found is None:
        return html_response(404, "404 Not Found")
    if call.request.method == "GET":
        found.downloads += 1
        found.downloads_with_key += call.carries_credential
    return EmulatedResponse(200, {"content-type": found.content_type}, found.content)
