"""Real H.264 files: the prompt, the request and a moving scene, drawn with Pillow and encoded with PyAV.

The scene is seeded by the request, so two requests differ at a glance, and one request renders to the same
bytes every time. Text and texture are drawn once; a frame costs a few pastes.
"""

from __future__ import annotations

import colorsys
import math
import random
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
from PIL import Image, ImageDraw, ImageFilter, ImageFont

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_ltx.emulator.resolution import VideoPlan

_CRF = 19
_PAN = 96  # pixels of the backdrop beyond the frame: what the camera can travel
_ORBS = 7
_BOX_HEAD = struct.Struct(">I4s")
_NOISE = 1024**2
_INK = (238, 240, 246)
_DIM = (150, 158, 176)
_PANEL = (13, 15, 22)

_Color = tuple[int, int, int]
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class _Orb:
    sprite: Image.Image
    mask: Image.Image
    center: tuple[float, float]
    reach: tuple[float, float]
    turns: tuple[int, int]
    phase: tuple[float, float]

    def corner(self, progress: float) -> tuple[int, int]:
        """Top left corner at ``progress`` (0..1) of the film; whole turns make the film loop."""
        x, y = (
            middle + reach * math.sin(2 * math.pi * (turns * progress + phase))
            for middle, reach, turns, phase in zip(
                self.center, self.reach, self.turns, self.phase, strict=True
            )
        )
        return round(x - self.sprite.width / 2), round(y - self.sprite.height / 2)


class RenderStopped(Exception):
    """Rendering ended early because it was asked to; the file is incomplete."""


def render(plan: VideoPlan, path: Path, stopped: Callable[[], bool] = lambda: False) -> int:
    """Write the MP4 of ``plan`` to ``path`` and return its size in bytes; ``RenderStopped`` if ``stopped``.

    H.264, yuv420p, exactly ``plan.frames`` frames, index in front of the data so that players start at once.
    """
    drawing = _Film(plan)
    with av.open(
        str(path), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}
    ) as out:
        stream = out.add_stream("libx264", rate=plan.fps)
        stream.width, stream.height, stream.pix_fmt = plan.width, plan.height, "yuv420p"
        stream.time_base = Fraction(1, plan.fps)
        # One thread per film: films render beside each other, and the bytes do not depend on the machine.
        stream.codec_context.thread_count = 1
        stream.options = {"crf": str(_CRF), "preset": "superfast", "flags": "+bitexact"}
        for index in range(plan.frames):
            if stopped():
                raise RenderStopped
            frame = av.VideoFrame.from_image(drawing.frame(index))  # type: ignore[no-untyped-call]
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    _fill(plan, path, stopped)
    return path.stat().st_size


def _fill(plan: VideoPlan, path: Path, stopped: Callable[[], bool]) -> None:
    """Append a box that the format has for free space. Noise, so that parts in a wrong order are noticed."""
    missing = plan.least_bytes - path.stat().st_size
    if missing <= 0:
        return
    noise = random.Random(f"{plan.seed}|{plan.request_id}|{plan.file_name}")
    size = max(missing, _BOX_HEAD.size)
    with path.open("ab") as file:
        file.write(_BOX_HEAD.pack(size, b"free"))
        for start in range(_BOX_HEAD.size, size, _NOISE):
            if stopped():
                raise RenderStopped
            file.write(noise.randbytes(min(_NOISE, size - start)))


class _Film:
    """The pictures of one plan, in order. ``frame`` returns the same image object, drawn over each time."""

    def __init__(self, plan: VideoPlan) -> None:
        self._plan = plan
        chance = random.Random(f"{plan.seed}|{plan.prompt}|{plan.request_id}")
        hue = chance.random()
        panel_height = min(max(96, round(plan.height * 0.3)), plan.height // 2)
        self._scene_height = plan.height - panel_height
        self._canvas = Image.new("RGB", (plan.width, plan.height))
        self._small = _font(_small_size(plan))
        self._backdrop = _backdrop(chance, hue, plan.width + _PAN, self._scene_height + _PAN)
        self._pan_phase = chance.random()
        self._orbs = [_orb(chance, hue, plan.width, self._scene_height) for _ in range(_ORBS)]
        self._panel = _panel(plan, hue, panel_height)
        self._accent = _rgb(hue + 0.5, 0.6, 1.0)

    def frame(self, index: int) -> Image.Image:
        """Draw frame ``index`` (from 0)."""
        plan, canvas = self._plan, self._canvas
        progress = index / plan.frames
        angle = 2 * math.pi * (progress + self._pan_phase)
        left = round(_PAN / 2 * (1 + math.cos(angle)))
        top = round(_PAN / 2 * (1 + math.sin(angle)))
        canvas.paste(
            self._backdrop.crop((left, top, left + plan.width, top + self._scene_height)),
            (0, 0),
        )
        for orb in self._orbs:
            canvas.paste(orb.sprite, orb.corner(progress), orb.mask)
        canvas.paste(self._panel, (0, self._scene_height))
        draw = ImageDraw.Draw(canvas)
        done = round(plan.width * (index + 1) / plan.frames)
        draw.rectangle((0, self._scene_height, done, self._scene_height + 3), fill=self._accent)
        draw.text(
            (plan.width - 16, 14),
            f"frame {index + 1:03d}/{plan.frames}",
            font=self._small,
            fill=_INK,
            anchor="rt",
            stroke_width=1,
            stroke_fill=_PANEL,
        )
        return canvas


def _backdrop(chance: random.Random, hue: float, width: int, height: int) -> Image.Image:
    dark, light = _rgb(hue, 0.75, 0.16), _rgb(hue + 0.12, 0.7, 0.62)
    blend = Image.linear_gradient("L").rotate(chance.choice((-28, -16, 16, 28)), expand=False)
    blend = blend.crop((48, 48, 208, 208)).resize((width, height), Image.Resampling.BICUBIC)
    picture = Image.composite(Image.new("RGB", (width, height), light), _flat(dark, width, height), blend)
    draw = ImageDraw.Draw(picture)
    for _ in range(round(width * height / 3600)):
        x, y, size = chance.randrange(width), chance.randrange(height), chance.choice((1, 1, 2, 3))
        color = _rgb(hue + chance.uniform(-0.1, 0.25), 0.35, chance.uniform(0.35, 0.95))
        draw.ellipse((x, y, x + size, y + size), fill=color)
    for ridge in range(3):
        shade = _rgb(hue + 0.05 * ridge, 0.8, 0.3 - 0.08 * ridge)
        base, phase, waves = height * (0.62 + 0.1 * ridge), chance.random(), chance.uniform(1.5, 4)
        line = [
            (x, base + height * 0.07 * math.sin(2 * math.pi * (waves * x / width + phase)))
            for x in range(0, width + 8, 8)
        ]
        draw.polygon([(0, height), *line, (width + 8, height)], fill=shade)
    return picture


def _orb(chance: random.Random, hue: float, width: int, height: int) -> _Orb:
    size = round(min(width, height) * chance.uniform(0.16, 0.42))
    color = _rgb(hue + 0.5 + chance.uniform(-0.16, 0.16), chance.uniform(0.45, 0.85), 1.0)
    mask = Image.new("L", (size, size), 0)
    shape = ImageDraw.Draw(mask)
    margin = size // 6
    if chance.random() < 0.7:
        shape.ellipse((margin, margin, size - margin, size - margin), fill=225)
    else:
        half = size // 2
        shape.polygon(
            [(half, margin), (size - margin, half), (half, size - margin), (margin, half)], fill=225
        )
    mask = mask.filter(ImageFilter.GaussianBlur(size / 28))
    sprite = Image.composite(
        _flat(color, size, size),
        _flat(_rgb(hue + 0.4, 0.9, 0.55), size, size),
        Image.linear_gradient("L").transpose(Image.Transpose.FLIP_TOP_BOTTOM).resize((size, size)),
    )
    return _Orb(
        sprite,
        mask,
        center=(width * chance.uniform(0.2, 0.8), height * chance.uniform(0.25, 0.75)),
        reach=(width * chance.uniform(0.08, 0.3), height * chance.uniform(0.08, 0.35)),
        turns=(chance.choice((-2, -1, 1, 2)), chance.choice((-2, -1, 1, 2))),
        phase=(chance.random(), chance.random()),
    )


def _panel(plan: VideoPlan, hue: float, height: int) -> Image.Image:
    panel = _flat(_PANEL, plan.width, height)
    draw = ImageDraw.Draw(panel)
    room_across = plan.width - 32
    small, large = _small_size(plan), max(12, min(plan.width, plan.height) // 25)
    facts = " · ".join(part for part in ("emulated " + plan.model, f"seed {plan.seed}", plan.note) if part)
    footer = height - 10
    draw.text(
        (16, footer), plan.request_id, font=_fit(plan.request_id, small, room_across), fill=_DIM, anchor="lb"
    )
    facts_ink = _rgb(hue + 0.5, 0.35, 1.0)
    facts_line = footer - small - 4
    draw.text((16, facts_line), facts, font=_fit(facts, small, room_across), fill=facts_ink, anchor="lb")
    font, line_height = _font(large), large + 5
    rows = max(1, (facts_line - small - 20) // line_height)
    for row, line in enumerate(_wrap(plan.prompt, font, room_across, rows)):
        draw.text((16, 12 + row * line_height), line, font=font, fill=_INK)
    return panel


def _small_size(plan: VideoPlan) -> int:
    return max(10, min(plan.width, plan.height) // 34)


def _fit(text: str, size: int, width: int) -> _Font:
    """Return the largest font up to ``size`` in which ``text`` is at most ``width`` pixels wide."""
    while size > 6 and _font(size).getlength(text) > width:
        size -= 1
    return _font(size)


def _wrap(text: str, font: _Font, width: int, rows: int) -> list[str]:
    lines: list[str] = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
        if len(lines) > rows:
            # The tail is in the request; the picture only has to be recognisable.
            lines = lines[:rows]
            lines[-1] += " ..."
            break
    return lines


def _font(size: int) -> _Font:
    return ImageFont.load_default(size)


def _flat(color: _Color, width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), color)


def _rgb(hue: float, saturation: float, value: float) -> _Color:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
