"""Is this file a video? Found out by decoding all of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
from av.error import FFmpegError


class NotAVideoError(ValueError):
    """The file cannot be played, with the reason."""


@dataclass(frozen=True)
class VideoFacts:
    """What a player would find."""

    codec: str
    width: int
    height: int
    frames: int
    seconds: float
    size: int

    def __str__(self) -> str:
        return (
            f"{self.codec}, {self.width}x{self.height}, {self.frames} frames, "
            f"{self.seconds:.1f} s, {self.size / 1000:.0f} kB"
        )


def inspect(path: Path) -> VideoFacts:
    """Decode every frame of the file and say what it holds."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            frames = sum(1 for _ in container.decode(stream))
            rate = float(stream.average_rate or 0)
            facts = VideoFacts(
                codec=stream.codec_context.name,
                width=stream.codec_context.width,
                height=stream.codec_context.height,
                frames=frames,
                seconds=frames / rate if rate else 0.0,
                size=path.stat().st_size,
            )
    except (OSError, IndexError, FFmpegError) as error:
        raise NotAVideoError(f"{path} cannot be decoded: {error}") from error
    if not facts.frames:
        raise NotAVideoError(f"{path} has no frames")
    return facts
