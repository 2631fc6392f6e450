"""The files are real videos of the size and length that were asked for."""

from __future__ import annotations

import dataclasses

import av
import pytest

from airflow_ltx.emulator.resolution import ASPECT_RATIOS, TARGET_SIZES, VideoPlan, frame_size
from airflow_ltx.emulator.video import RenderStopped, render

PLAN = VideoPlan(
    request_id="47411f110c6fa4fe05dcb9ffed2c1962",
    file_name="a.mp4",
    model="ltx-video",
    prompt="A lighthouse at dusk",
    seed=7,
    width=384,
    height=256,
    frames=25,
    fps=24,
)
# Portrait order; from the table of the model's resolution rule.
SIZES = {
    "1:1": ["512x512", "640x640", "768x768", "1024x1024"],
    "1:2": ["352x736", "448x896", "544x1088", "736x1440"],
    "2:3": ["416x640", "512x768", "640x928", "832x1248"],
    "3:4": ["448x576", "544x736", "672x896", "896x1184"],
    "4:5": ["448x576", "576x704", "672x864", "928x1152"],
    "9:16": ["384x672", "480x864", "576x1024", "768x1376"],
    "9:21": ["320x768", "416x992", "512x1184", "672x1568"],
}


@pytest.mark.parametrize("ratio", SIZES)
def test_the_frame_size_follows_the_models_rule(ratio):
    landscape = ":".join(reversed(ratio.split(":")))
    for target, text in zip((512, 640, 768, 1024), SIZES[ratio], strict=True):
        width, height = (int(part) for part in text.split("x"))
        assert frame_size(ratio, target) == (width, height)
        assert frame_size(landscape, target) == (height, width)


def test_every_size_has_even_sides_and_about_the_area_asked_for():
    for ratio in ASPECT_RATIOS:
        for target in TARGET_SIZES:
            width, height = frame_size(ratio, target)
            assert width % 32 == height % 32 == 0
            assert 0.85 < width * height / target**2 < 1.15


def decode(path):
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        frames = [bytes(frame.to_image().resize((48, 32)).tobytes()) for frame in film.decode(stream)]
        context = stream.codec_context
        return (context.name, context.pix_fmt, context.width, context.height, stream.average_rate), frames


@pytest.mark.parametrize(("width", "height", "frames", "fps"), [(384, 256, 25, 24), (320, 768, 9, 30)])
def test_a_file_has_what_its_plan_says(tmp_path, width, height, frames, fps):
    plan = dataclasses.replace(PLAN, width=width, height=height, frames=frames, fps=fps)
    path = tmp_path / "a.mp4"
    assert render(plan, path) == path.stat().st_size
    facts, pictures = decode(path)
    assert facts == ("h264", "yuv420p", width, height, fps)
    assert len(pictures) == frames
    assert len(set(pictures)) > frames / 2


def test_the_index_comes_before_the_data(tmp_path):
    path = tmp_path / "a.mp4"
    render(PLAN, path)
    content = path.read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


def test_equal_plans_are_equal_bytes_and_other_plans_are_not(tmp_path):
    plans = {
        "same": PLAN,
        "again": PLAN,
        "id": dataclasses.replace(PLAN, request_id="0" * 32),
        "seed": dataclasses.replace(PLAN, seed=8),
        "prompt": dataclasses.replace(PLAN, prompt="A forest"),
        "note": dataclasses.replace(PLAN, note="from an image"),
    }
    contents = {}
    for name, plan in plans.items():
        render(plan, tmp_path / name)
        contents[name] = (tmp_path / name).read_bytes()
    assert contents.pop("again") == contents["same"]
    assert len(set(contents.values())) == len(contents)
    # Visibly so, not just in a digit.
    first, other = (decode(tmp_path / name)[1][0] for name in ("same", "seed"))
    assert sum(abs(a - b) for a, b in zip(first, other, strict=True)) / len(first) > 5


@pytest.mark.parametrize("prompt", ["", "x" * 4000, "word " * 2000, "日本 ünï\n\x00\u202e"])
def test_any_prompt_can_be_drawn(tmp_path, prompt):
    assert render(dataclasses.replace(PLAN, prompt=prompt, frames=2), tmp_path / "a.mp4") > 0


def test_rendering_ends_early_when_asked_to(tmp_path):
    frames = iter([False, False, True])
    with pytest.raises(RenderStopped):
        render(PLAN, tmp_path / "a.mp4", lambda: next(frames))


@pytest.mark.parametrize("least", [0, 1, 3_000_000])
def test_a_small_file_is_filled_up_and_shows_the_same_film(tmp_path, least):
    size = render(PLAN, tmp_path / "a.mp4")
    film = (tmp_path / "a.mp4").read_bytes()
    filled = render(dataclasses.replace(PLAN, least_bytes=least), tmp_path / "b.mp4")
    content = (tmp_path / "b.mp4").read_bytes()
    assert filled == len(content) == max(size, least)
    assert content.startswith(film)
    assert decode(tmp_path / "b.mp4") == decode(tmp_path / "a.mp4")


def test_what_fills_up_a_file_is_a_box_that_players_skip(tmp_path):
    size = render(PLAN, tmp_path / "a.mp4")
    # Less than a box's own head is missing.
    assert render(dataclasses.replace(PLAN, least_bytes=size + 3), tmp_path / "b.mp4") == size + 8
    assert (tmp_path / "b.mp4").read_bytes()[size:] == b"\0\0\0\x08free"


def test_what_fills_up_a_file_is_its_own(tmp_path):
    def filling(**changes):
        plan = dataclasses.replace(PLAN, frames=1, least_bytes=2_500_000, **changes)
        render(plan, tmp_path / "a.mp4")
        return (tmp_path / "a.mp4").read_bytes()[-2_000_000:]

    assert filling() == filling()
    assert len({filling(), filling(request_id="0" * 32), filling(file_name="b.mp4")}) == 3


def test_filling_up_a_file_ends_early_when_asked_to(tmp_path):
    looks = iter([False, False, True])
    with pytest.raises(RenderStopped):
        render(
            dataclasses.replace(PLAN, frames=1, least_bytes=5_000_000),
            tmp_path / "a.mp4",
            lambda: next(looks),
        )
    assert (tmp_path / "a.mp4").stat().st_size < 2_000_000
