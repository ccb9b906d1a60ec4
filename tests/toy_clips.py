"""What the tests of figures, films and pages share: a tiny clip, and a name that tries to break out of wherever it is
printed."""

import numpy as np

from avnb.media import Clip

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)> ${title} $x^{ & 'quoted'"


def small_clip(T=8, h=24, w=32, fps=8.0, rate=8000, audio=True):
    gen = np.random.default_rng(0)
    frames = gen.integers(0, 255, (T, h, w, 3), dtype='uint8')
    return Clip(
        frames,
        (0.2 * np.sin(np.arange(int(T / fps * rate)) / 5)).astype('float32'),
        fps,
        rate,
        0.0,
        'clip.mp4',
        'clip',
        has_audio=audio,
    )
