"""What a video of a request looks like: its frame size by the model's rule, and the plan a renderer needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

ASPECT_RATIOS = (
    "1:1", "1:2", "2:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "9:21", "21:9",
)  # fmt: skip
TARGET_SIZES = (512, 576, 640, 704, 768, 832, 896, 960, 1024)
LENGTHS = (97, 129, 161, 193, 225, 257)

_MULTIPLE = 32


@dataclass(frozen=True, slots=True)
class VideoPlan:
    """Everything that decides the bytes of one file: equal plans render to equal bytes.

    ``file_name`` carries no directory; ``width`` and ``height`` are pixels, ``frames`` a count, ``note`` a
    short remark drawn into the picture (for instance that a starting image was given). A file that would have
    fewer than ``least_bytes`` is filled up.
    """

    request_id: str
    file_name: str
    model: str
    prompt: str
    seed: int
    width: int
    height: int
    frames: int
    fps: int
    note: str = ""
    least_bytes: int = 0


def frame_size(aspect_ratio: str, target_size: int) -> tuple[int, int]:
    """Return (width, height) in pixels: an area of about ``target_size`` squared, sides in steps of 32."""
    ratio_width, ratio_height = (int(part) for part in aspect_ratio.split(":"))
    scale = math.sqrt(target_size * target_size / (ratio_width * ratio_height))
    return (
        round(ratio_width * scale / _MULTIPLE) * _MULTIPLE,
        round(ratio_height * scale / _MULTIPLE) * _MULTIPLE,
    )
