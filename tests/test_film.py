"""Videos that a browser plays, with their sound in time and their panels in place."""

import numpy as np
import pytest
from toy_clips import HOSTILE, small_clip

from avnb import film


@pytest.mark.parametrize('audio', [True, False])
@pytest.mark.parametrize('h,w', [(24, 32), (33, 21)])
def test_overlay_video_plays_in_browsers(tmp_path, audio, h, w):
    import av

    clip = small_clip(h=h, w=w, audio=audio)
    maps = np.random.default_rng(0).random((2, 3, 3))
    path = film.overlay_video(
        tmp_path / 'o.mp4', clip, {'one': maps, 'two': maps}, boxes=[0.1, 0.1, 0.5, 0.5], title=HOSTILE
    )
    with av.open(str(path)) as f:
        v = f.streams.video[0]
        n = sum(1 for _ in f.decode(video=0))
        assert (v.codec_context.name, v.codec_context.pix_fmt) == (
            'h264',
            'yuv420p',
        ) and v.width % 2 == v.height % 2 == 0
        assert v.width >= 3 * 256 and n == 24 and v.average_rate == 24 and abs(float(f.duration) / 1e6 - 1) < 0.1
        assert [s.codec_context.name for s in f.streams.audio] == (['aac'] if audio else [])
    assert path.read_bytes().find(b'moov') < path.read_bytes().find(b'mdat'), (
        'a browser should start before the whole file is there'
    )
    assert sorted(x.name for x in tmp_path.iterdir()) == ['o.mp4']


def test_overlay_video_carries_the_sound_in_time(tmp_path):
    from avnb.media import read_clip

    clip = small_clip(T=16)
    clip.waveform[:] = 0
    clip.waveform[8000:8400] = 0.8 * np.sin(np.arange(400))
    path = film.overlay_video(tmp_path / 'o.mp4', clip, np.ones((1, 2, 2)), short=64)
    heard = read_clip(path, 0.0, 2.0, rate=8000).waveform
    assert abs(np.average(np.arange(len(heard)), weights=heard**2) / 8000 - 1.025) < 0.06


def test_line_in_time_and_panels():
    clip = small_clip(T=16)
    maps = np.zeros((1, 2, 2))
    draw = film.Overlay(clip, {'clip': None, 'map': maps}, short=64)
    y0, y1, x0, x1 = draw.strip_at
    where = [np.flatnonzero((draw(t)[y0:y1] == 255).all(-1).all(0)).mean() for t in (0.0, 0.5, 1.0, 1.99)]
    assert np.allclose((np.array(where) - x0) / (x1 - x0), [0, 0.25, 0.5, 0.995], atol=2 / (x1 - x0))
    y, x = draw.corners[0]
    want = film._enlarge(clip.frames[4], draw.size)
    assert np.array_equal(draw(0.5)[y : y + draw.size[0], x : x + draw.size[1]], want)
