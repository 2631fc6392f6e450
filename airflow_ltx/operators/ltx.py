"""One LTX-Video clip from a prompt, with every parameter of the model typed and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow_ltx.durability.policies import CHOICES
from airflow_ltx.exceptions import InvalidParameter
from airflow_ltx.operators import _arguments
from airflow_ltx.operators.segmind import SegmindSubmitOperator
from airflow_ltx.segmind.ltx import MODEL, PARAMETERS, LTXVideoParameters, check_literals


class LTXSubmitOperator(SegmindSubmitOperator):
    """Buy one LTX-Video clip, wait for it without holding a worker, keep the file.

    Literals are checked when the DAG is parsed, rendered and mapped values on the worker before money is
    spent. What is billed and what a retry does: see :class:`SegmindSubmitOperator`. What is left None is not
    sent, and the service's default holds. All parameters are templated; numbers may come as text.

    :param prompt: What is to be seen. Long, descriptive prompts work best; a path ending in ``.txt`` or
        ``.md`` is read as a template file.
    :param negative_prompt: What is not to be seen. Service default: "low quality, worst quality, deformed,
        distorted".
    :param aspect_ratio: "1:1", "1:2", "2:1", "2:3", "3:2" (default), "3:4", "4:3", "4:5", "5:4", "9:16",
        "16:9", "9:21" or "21:9". Ignored by the service when there is an image.
    :param target_size: 512, 576, 640 (default), 704, 768, 832, 896, 960 or 1024: the side in pixels of the
        square with the same area.
    :param length: Frames: 97 (default, about 4 s), 129, 161, 193, 225 or 257.
    :param steps: 1 to 50, default 30.
    :param cfg: How closely the prompt is followed: 1 to 20, default 3.
    :param seed: Whole number. None or -1: one is drawn and recorded, so that a later try asks for the same
        video.
    :param image: http(s) URL of the first frame, which the service must be able to fetch.
    :param extra: Parameters that the service may add one day, sent as they are.

    All other arguments, the return value and XCom keys are those of :class:`SegmindSubmitOperator`, with
    ``video_url`` and ``video_uri`` beside ``output_url`` and ``output_uri``.
    """

    template_fields: Sequence[str] = (
        *PARAMETERS,
        "extra",
        "segmind_conn_id",
        "destination",
        "destination_conn_id",
        *CHOICES,
    )
    template_ext: Sequence[str] = (".txt", ".md")
    template_fields_renderers: ClassVar[dict[str, str]] = {"prompt": "md", "extra": "json"}

    media: ClassVar[str | None] = "video"
    published: ClassVar[Mapping[str, str]] = {
        **SegmindSubmitOperator.published,
        "video_url": "video_url",
        "video_uri": "video_uri",
    }

    def __init__(
        self,
        *,
        prompt: str,
        negative_prompt: str | None = None,
        aspect_ratio: str | None = None,
        target_size: int | str | None = None,
        length: int | str | None = None,
        steps: int | str | None = None,
        cfg: float | str | None = None,
        seed: int | str | None = None,
        image: str | None = None,
        extra: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._foreign = [name for name in ("model", "parameters", "draw_seed") if name in kwargs]
        for name in self._foreign:
            del kwargs[name]
        self.prompt = prompt
        self.negative_prompt = negative_prompt
        self.aspect_ratio = aspect_ratio
        self.target_size = target_size
        self.length = length
        self.steps = steps
        self.cfg = cfg
        self.seed = seed
        self.image = image
        self.extra = extra
        super().__init__(model=MODEL, draw_seed=True, **kwargs)

    def _check_arguments(self) -> None:
        super()._check_arguments()
        if self._foreign:
            foreign = " and ".join(self._foreign)
            raise InvalidParameter([f"{foreign} belong to SegmindSubmitOperator"], model=MODEL)

    def _check_literals(self) -> None:
        values = {name: getattr(self, name) for name in (*PARAMETERS, "extra")}
        check_literals(_arguments.literals(values, self.template_ext))
        self._check_common_literals()

    def _request_parameters(self) -> dict[str, Any]:
        return self._video().to_body()

    def _video(self) -> LTXVideoParameters:
        return LTXVideoParameters.parse(**{name: getattr(self, name) for name in (*PARAMETERS, "extra")})

    def _advise(self) -> None:
        advice = self._video().advice()
        if advice:
            self.log.warning(advice)

    def _result(self, result: dict[str, Any]) -> dict[str, Any]:
        return {**result, "video_url": result["output_url"], "video_uri": result["uri"]}
