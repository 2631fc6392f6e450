"""A small client of Airflow's REST API, for a stack on loopback."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, urlencode

from local_airflow.errors import ApiError, StackError
from local_airflow.records import (
    FINAL_RUN_STATES,
    ImportFailure,
    LogRecord,
    TaskInstance,
    log_line,
    state_lines,
)

OnPoll = Callable[[str, Sequence[TaskInstance]], None]

_PAGE = 100
_READ_ATTEMPTS = 4


def _path(*parts: str) -> str:
    return "/".join(quote(part, safe="") for part in parts)


class AirflowApi:
    """Reads are repeated through a hiccup of the server, writes are not. May be shared by threads."""

    def __init__(self, base_url: str, username: str, password: str, *, timeout: float = 30.0) -> None:
        self.base_url = base_url
        self._login = {"username": username, "password": password}
        self._timeout = timeout
        self._token: str | None = None
        # Called before every poll of a wait; raises when waiting has become pointless.
        self.watch: Callable[[], None] = lambda: None
        # A proxy of the environment has no business on loopback.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def token(self) -> str:
        """A bearer token, fetched once."""
        if self._token is None:
            answer = self._send("POST", "/auth/token", self._login, token=None)
            self._token = str(answer["access_token"])
        return self._token

    def request(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Any call of /api/v2; the decoded answer. Raises ApiError."""
        given = {name: value for name, value in query.items() if value is not None}
        target = f"/api/v2/{path}" + (f"?{urlencode(given)}" if given else "")
        for attempt in range(1, _READ_ATTEMPTS + 1):
            try:
                return self._send(method, target, body, token=self.token())
            except ApiError as error:
                passing = error.status is None or error.status >= 500
                if method != "GET" or not passing or attempt == _READ_ATTEMPTS:
                    raise
                # With nobody left to answer, the reason is in that process's log, not here.
                self.watch()
                time.sleep(0.25 * attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _send(self, method: str, target: str, body: Any, *, token: str | None) -> Any:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the address is this stack's own
            f"{self.base_url}{target}", data=data, headers=headers, method=method
        )
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                content = response.read()
        except urllib.error.HTTPError as error:
            detail = error.read().decode("utf-8", "replace")[:2000]
            raise ApiError(
                f"Airflow answered {error.code} to {method} {target}: {detail}", status=error.code
            ) from None
        except (OSError, HTTPException) as error:
            raise ApiError(
                f"Airflow's api-server at {self.base_url} did not answer {method} {target}: {error}",
                status=None,
            ) from error
        return json.loads(content) if content else None

    def health(self) -> dict[str, Any] | None:
        """The health report, or None while nobody answers."""
        try:
            answer = self._send("GET", "/api/v2/monitor/health", None, token=None)
        except ApiError:
            return None
        return answer if isinstance(answer, dict) else None

    def serves_workers(self) -> bool:
        """Whether the API for workers answers. The first call has the server build it, for some seconds in
        which it answers nobody: tasks that begin then run into their time-outs."""
        try:
            self._send("GET", "/execution/health", None, token=None)
        except ApiError:
            return False
        return True

    def import_errors(self) -> list[ImportFailure]:
        rows = self.request("GET", "importErrors", limit=_PAGE)["import_errors"]
        return [ImportFailure(row["filename"], row["stack_trace"]) for row in rows]

    def dag_is_parsed(self, dag_id: str) -> bool:
        """Whether the DAG can be run: its details need the serialized form, as a run does."""
        try:
            self.request("GET", _path("dags", dag_id, "details"))
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def unpause(self, dag_id: str) -> None:
        self.request("PATCH", _path("dags", dag_id), {"is_paused": False}, update_mask="is_paused")

    def trigger_run(
        self, dag_id: str, conf: Mapping[str, Any] | None = None, run_id: str | None = None
    ) -> str:
        """Start a run now and return its id."""
        body: dict[str, Any] = {"logical_date": None, "conf": dict(conf or {})}
        if run_id is not None:
            body["dag_run_id"] = run_id
        return str(self.request("POST", _path("dags", dag_id, "dagRuns"), body)["dag_run_id"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The DAG's runs as the API describes them, the oldest first."""
        return list(
            self.request("GET", _path("dags", dag_id, "dagRuns"), limit=_PAGE, order_by="id")["dag_runs"]
        )

    def run_state(self, dag_id: str, run_id: str) -> str:
        return str(self.request("GET", _path("dags", dag_id, "dagRuns", run_id))["state"])

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """All of them, mapped ones included, in the order of task id and map index."""
        found: list[TaskInstance] = []
        while True:
            page = self.request(
                "GET",
                _path("dags", dag_id, "dagRuns", run_id, "taskInstances"),
                limit=_PAGE,
                offset=len(found),
            )
            found += [TaskInstance.parse(row) for row in page["task_instances"]]
            if not page["task_instances"] or len(found) >= page["total_entries"]:
                return sorted(found, key=lambda task: (task.task_id, task.map_index))

    def xcoms(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """What the task published, by key."""
        where = _path("dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, "xcomEntries")
        rows = self.request("GET", where, limit=_PAGE, map_index=map_index)["xcom_entries"]
        return {
            row["key"]: self.request(
                "GET", f"{where}/{quote(row['key'])}", map_index=map_index, deserialize="true"
            )["value"]
            for row in rows
        }

    def links(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, str | None]:
        """The targets of the buttons on the task's page, by their labels."""
        where = _path("dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, "links")
        return dict(self.request("GET", where, map_index=map_index)["extra_links"])

    def task_log_records(
        self, dag_id: str, run_id: str, task_id: str, *, try_number: int = 1, map_index: int = -1
    ) -> list[LogRecord]:
        """The log of one try as the UI shows it, worker's and triggerer's lines in order of time."""
        where = _path("dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, "logs", str(try_number))
        answer = self.request("GET", where, map_index=map_index, full_content="true")
        return list(answer["content"])

    def task_log(
        self, dag_id: str, run_id: str, task_id: str, *, try_number: int = 1, map_index: int = -1
    ) -> str:
        """The same as text, tracebacks included."""
        records = self.task_log_records(dag_id, run_id, task_id, try_number=try_number, map_index=map_index)
        return "\n".join(log_line(record) for record in records)

    def clear(
        self, dag_id: str, run_id: str, task_ids: Sequence[str] | None = None, *, only_failed: bool = False
    ) -> int:
        """Clear tasks of a run (all without `task_ids`) so that they run again; how many."""
        body: dict[str, Any] = {"dry_run": False, "dag_run_id": run_id, "only_failed": only_failed}
        if task_ids is not None:
            body["task_ids"] = list(task_ids)
        answer = self.request("POST", _path("dags", dag_id, "clearTaskInstances"), body)
        return int(answer["total_entries"])

    def events(self, dag_id: str, run_id: str, event: str) -> list[str]:
        """The texts of a run's entries of one kind in the audit log."""
        answer = self.request("GET", "eventLogs", limit=_PAGE, dag_id=dag_id, run_id=run_id, event=event)
        return [str(entry["extra"]) for entry in answer["event_logs"]]

    def living_jobs(self, job_type: str) -> list[int]:
        """Ids of the processes of a kind (`TriggererJob`, ...) that report to Airflow, the oldest first."""
        answer = self.request(
            "GET", "jobs", limit=_PAGE, order_by="id", job_type=job_type, job_state="running", is_alive="true"
        )
        return [int(job["id"]) for job in answer["jobs"]]

    def wait_for_run(
        self,
        dag_id: str,
        run_id: str,
        *,
        timeout: float,
        on_poll: OnPoll | None = None,
        interval: float = 0.5,
    ) -> str:
        """The run's final state; `on_poll` sees the state and the tasks at every look, the last too."""
        deadline = time.monotonic() + timeout
        while True:
            self.watch()
            state = self.run_state(dag_id, run_id)
            if on_poll is not None:
                on_poll(state, self.task_instances(dag_id, run_id))
            if state in FINAL_RUN_STATES:
                return state
            if time.monotonic() >= deadline:
                states = state_lines(self.task_instances(dag_id, run_id))
                raise StackError(f"{dag_id} run {run_id} is {state} after {timeout:.0f} s:\n{states}")
            time.sleep(interval)
