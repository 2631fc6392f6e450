"""The models that the emulator serves."""

from __future__ import annotations

from dataclasses import dataclass

LTX_VIDEO = "ltx-video"


@dataclass(frozen=True, slots=True)
class Model:
    """One slug.

    :param fixed_price: Credits per completed request; None charges by the second of inference.
    :param width: Pixels, like ``height`` and ``frames`` of models whose parameters are not modelled.
    """

    slug: str
    fixed_price: float | None = None
    width: int = 480
    height: int = 288
    frames: int = 49


DEFAULT_MODELS = (
    Model(LTX_VIDEO),
    Model("ltx-2-fast", 0.52),
    Model("ltx-2-19b-t2v", 0.41),
    Model("ltx-2-19b-i2v", 0.46),
    Model("wan-2.2-t2v-fast", 0.10),
    Model("wan-2.2-i2v-fast", 0.09),
    Model("wan2.1-t2v", 0.86),
    Model("kling-2.5-turbo", 0.57),
    Model("hailuo-2.3-fast", 0.39),
    Model("veo-3.1-fast", 0.86),
    Model("seedance-2.0", 1.21),
)
