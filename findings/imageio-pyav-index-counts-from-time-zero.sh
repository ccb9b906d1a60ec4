#!/usr/bin/env bash
# Guess:    iio.imread(path, index=7, plugin='pyav') is the eighth picture of the file, as iterating over it gives.
# Happens:  index is turned into the time 7 / average rate and the stream's start time is not added. In a clip whose
#           picture starts at 0.4 s (a cut, a late camera, every FLV and MPEG file with B-frames) index 7 is picture 0,
#           index 50 picture 40; across a pause index 95 is picture 65. Iterating is right, and so is plugin FFMPEG in
#           the first case.
# Hurts:    Frame numbers of labels: the same index means two pictures in two plugins, and in imread and imiter of one.
# Versions: imageio 2.38.1, av 18.1.0, numpy 2.4.6
# Seen:     late start: imread index 0 7 50 95 gives 0 0 40 85, imiter 0 7 50 95 | pause: imread 0 7 50 65, imiter 0 7
#           50 95
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q imageio==2.38.1 av==18.1.0 numpy==2.4.6
venv/bin/python - <<'PY'
import av
import imageio.v3 as iio
import numpy as np
from fractions import Fraction


def picture(i):
    "A frame that carries its number in ten black or white bars."
    bars = np.array([255 * (i >> b & 1) for b in range(10)], np.uint8)
    return np.tile(bars.repeat(16)[None, :, None], (64, 1, 3))


def number(frame):
    return sum(int(frame[20:40, 16 * b + 5:16 * b + 11].mean() > 128) << b for b in range(10))


indices = [0, 7, 50, 95]
for name, ticks, expected in [('plain', range(100), indices), ('late start', range(10, 110), [0, 0, 40, 85]),
                              ('pause', [*range(50), *range(80, 130)], [0, 7, 50, 65])]:
    with av.open('clip.mp4', 'w') as c:
        v = c.add_stream('libx264', rate=25, width=160, height=64, pix_fmt='yuv420p')
        for i, pts in enumerate(ticks):
            f = av.VideoFrame.from_ndarray(picture(i), 'rgb24')
            f.pts, f.time_base = pts, Fraction(1, 25)
            c.mux(v.encode(f))
        c.mux(v.encode(None))
    in_order = [number(x) for x in iio.imiter('clip.mp4', plugin='pyav')]
    got = [number(iio.imread('clip.mp4', index=i, plugin='pyav')) for i in indices]
    print(f'{name:10s} index {indices}: imread', got, 'imiter', [in_order[i] for i in indices])
    assert in_order == list(range(100)) and got == expected, name
PY
