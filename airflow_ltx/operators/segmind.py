"""Buy one run of any Segmind model, wait without holding a worker, keep its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from airflow_ltx.durability.policies import CHOICES
from airflow_ltx.exceptions import InvalidParameter, SegmindError
from airflow_ltx.links.segmind import SegmindOutputLink
from airflow_ltx.operators import _arguments
from airflow_ltx.operators._destination import check_literal_destination
from airflow_ltx.operators._legs import RequestLegs
from airflow_ltx.operators._policies import check_literal_policies
from airflow_ltx.operators._prepared import DEFAULT_TIMEOUT
from airflow_ltx.segmind.coerce import Problem, check_slug, json_object


class SegmindSubmitOperator(RequestLegs):
    """Submit a request to a Segmind model, wait for it, and keep its file.

    **Billed:** one run of the model, when it completes; a FAILED run is not billed. The submit is sent again
    only if it provably never arrived or was refused by a rate limit.

    **A retry** takes up the request that an earlier try bought, whatever state it is in; only after a FAILED
    request does it buy a new one. A submit whose answer was lost is looked for in the account's history. This
    needs a place that outlives the try: Airflow 3.3 and later have one, and a ``destination`` is another;
    with neither a retry buys again, which the log says, and a lost answer fails the task for good.

    **Clearing** a task returns what it bought before, unless ``on_clear`` says otherwise. **Ending** a task
    stops nothing at the service, which has no cancel.

    :param model: The model's slug. (templated)
    :param parameters: The model's parameters, sent as they are. (templated)
    :param draw_seed: The model takes a ``seed``: draw one where none is given, so that a request whose answer
        was lost can be told from all others, and another try asks for the same video.
    :param segmind_conn_id: Connection of type ``segmind``. (templated)
    :param destination: URI to copy the file to, such as ``s3://my_aws@bucket/videos/``: with a trailing ``/``
        a folder, in which the file is named ``<request_id>`` plus the ending of its type; otherwise the file
        itself. ``s3``, ``gs`` and ``abfs`` need the extras ``amazon``, ``google`` and ``microsoft-azure``;
        ``file`` is the disk of the worker that finishes the task. The names may hold ``{request_id}``,
        ``{model}``, ``{number}`` and ``{ext}``. The record of the purchase is kept beside the file, in
        ``_segmind/``. (templated)
    :param destination_conn_id: Connection for a remote destination, if its URI names none. (templated)
    :param land_in: Where the file is copied: ``"triggerer"`` (default for remote destinations: at once when
        the request completes; if that fails, the worker tries) or ``"worker"`` (always for ``file``).
    :param if_exists: When the file's name is taken: ``"same"`` (default: fine if the file is this task
        instance's or has the same bytes, else an error), ``"overwrite"``, or ``"error"`` (only this very
        request's file may be there). Nothing is bought where this can be seen before.
    :param land_all: Copy each file of a request that has several, not only the first; the others get their
        number in the name. The return value then has ``files`` too: a list of dicts with ``uri``, ``bytes``,
        ``sha256`` and ``content_type``. Pushes ``output_uris``, the list of the URIs.
    :param sidecar: Write ``<name>.json`` beside the first file: the parameters that were sent (URLs without
        their query) and the return value's numbers. Nothing else that is kept holds a prompt.
    :param deferrable: Wait in the triggerer. False holds the worker slot for the whole wait.
    :param poll_interval: Seconds between looks. Default: by what the model usually takes.
    :param timeout: Seconds from the submit until the wait is given up. The request goes on, and a retry takes
        it up, for as long again. ``execution_timeout`` does not reach a deferred task.
    :param wait_for_completion: False ends the task after the submit; its return value has the id.
    :param on_orphaned_intent: When the account's history knows nothing of a submit whose answer was lost,
        ``timeout`` seconds after it: ``"fail"`` (each retry looks again) or ``"resubmit"``, which buys anew,
        with another seed if one is drawn, and may pay twice. (templated)
    :param on_clear: When a person clears the task: ``"reuse"`` what it bought, or ``"regenerate"``, which
        buys anew and leaves behind what is under way. (templated)
    :param on_stale_state: When the parameters differ from those that an earlier try bought: ``"resubmit"``,
        which buys what is asked for now, or ``"fail"``. (templated)

    A policy that is not given is the connection's (an extra of that name), else the deployment's (an option
    of that name in ``[segmind]``), else the first one named here.

    Returns a dict, null where something is unknown: ``request_id``, ``model``, ``status``, ``output_url``,
    ``outputs``, ``uri``, ``bytes``, ``sha256``, ``content_type``, ``seed``, ``cost`` (US dollars),
    ``queue_time``, ``inference_time`` (seconds), ``submitted_at``, ``completed_at``, ``expires_at`` (ISO
    8601, UTC), ``reused``. Pushes ``request_id`` right after the submit, ``output_url`` and ``output_uri``
    at the end.
    """

    template_fields: Sequence[str] = (
        "model",
        "parameters",
        "segmind_conn_id",
        "destination",
        "destination_conn_id",
        *CHOICES,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"parameters": "json"}
    operator_extra_links = (SegmindOutputLink(),)
    ui_color = "#e8e4fb"

    media: ClassVar[str | None] = None
    """The kind of file that a model makes, such as ``video``; None takes any."""

    published: ClassVar[Mapping[str, str]] = {"output_url": "output_url", "output_uri": "uri"}
    """XCom keys besides the return value, and the key of the return value that each repeats."""

    def __init__(
        self,
        *,
        model: str,
        parameters: Mapping[str, Any] | None = None,
        draw_seed: bool = False,
        segmind_conn_id: str = "segmind_default",
        destination: str | None = None,
        destination_conn_id: str | None = None,
        land_in: str | None = None,
        if_exists: str | None = None,
        land_all: bool = False,
        sidecar: bool = False,
        deferrable: bool = True,
        poll_interval: float | timedelta | None = None,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        wait_for_completion: bool = True,
        on_orphaned_intent: str | None = None,
        on_clear: str | None = None,
        on_stale_state: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.parameters = parameters
        self.draw_seed = draw_seed
        self.segmind_conn_id = segmind_conn_id
        self.destination = destination
        self.destination_conn_id = destination_conn_id
        self.land_in = land_in
        self.if_exists = if_exists
        self.land_all = land_all
        self.sidecar = sidecar
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.wait_for_completion = wait_for_completion
        self.on_orphaned_intent = on_orphaned_intent
        self.on_clear = on_clear
        self.on_stale_state = on_stale_state
        self.output_link = None
        self._attempt = None
        # A mapped task is built on the worker, where an error here would be retried for nothing; execute()
        # checks the same things there, and fails for good.
        if not getattr(self, "_BaseOperator__from_mapped", False):
            try:
                self._check_arguments()
                self._check_literals()
            except SegmindError as error:
                # Airflow shows the text of an import error, and little of where it comes from.
                error.say(f"Task {self.task_id!r}: {error.message}")
                raise

    def _check_arguments(self) -> None:
        """Raise for what makes no sense, whatever the templates will say."""
        _arguments.seconds("timeout", self.timeout)
        _arguments.seconds("poll_interval", self.poll_interval)
        _arguments.fit_together(
            destination=self.destination,
            destination_conn_id=self.destination_conn_id,
            land_in=self.land_in,
            if_exists=self.if_exists,
            land_all=self.land_all,
            sidecar=self.sidecar,
            deferrable=self.deferrable,
            wait_for_completion=self.wait_for_completion,
        )

    def _check_literals(self) -> None:
        """Raise for values that are wrong already in the DAG file."""
        if _arguments.is_literal(self.parameters, self.template_ext):
            self._request_parameters()
        if _arguments.is_literal(self.model, ()):
            check_slug(self.model)
        self._check_common_literals()

    def _check_common_literals(self) -> None:
        check_literal_destination(self.destination, self.destination_conn_id, self.land_in)
        check_literal_policies({name: getattr(self, name) for name in CHOICES})

    def _request_parameters(self) -> dict[str, Any]:
        """The JSON object that is sent, from rendered values."""
        try:
            return json_object("parameters", self.parameters) or {}
        except Problem as problem:
            raise InvalidParameter([str(problem)], model=str(self.model)) from None
