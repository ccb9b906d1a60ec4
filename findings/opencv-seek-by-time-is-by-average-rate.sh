#!/usr/bin/env bash
# Guess:    In a file of variable frame rate OpenCV's frame numbers are unreliable, so one seeks by time: set(POS_MSEC,
#           t) goes to the picture shown at t.
# Happens:  POS_MSEC is turned into a frame number with the AVERAGE rate and then sought as one. In a recording of 100
#           pictures that stands still for 3 s in the middle, the picture that comes is up to 0.68 s too early before
#           the pause and as much too late behind it, and set() says True. get(POS_MSEC) after the read tells the truth.
#           In Matroska FRAME_COUNT is made up from the duration: 175 for 100 frames.
# Hurts:    Clips cut at times of a label list from phones and screen recordings show another moment.
# Versions: opencv-python-headless 5.0.0.93, av 18.1.0 to write and to check, numpy 2.4.6
# Seen:     mp4: wanted frames 10 25 40 60 80, got 6 14 23 77 89: off by -160 -440 -680 +680 +360 ms
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q av==18.1.0 opencv-python-headless==5.0.0.93 numpy==2.4.6
cat > clip.py <<'PY'
import numpy as np


def picture(i):
    "A frame that carries its number in ten black or white bars."
    bars = np.array([255 * (i >> b & 1) for b in range(10)], np.uint8)
    return np.tile(bars.repeat(16)[None, :, None], (64, 1, 3))


def number(frame):
    return sum(int(frame[20:40, 16 * b + 5:16 * b + 11].mean() > 128) << b for b in range(10))
PY
venv/bin/python - <<'PY'
import av
from clip import number, picture
from fractions import Fraction

ticks = [*range(50), *range(125, 175)]                           # of 1/25 s: 3 s of pause after frame 49
for name in ('pause.mp4', 'pause.mkv'):
    with av.open(name, 'w') as c:
        v = c.add_stream('libx264', rate=25, width=160, height=64, pix_fmt='yuv420p')
        for i, pts in enumerate(ticks):
            f = av.VideoFrame.from_ndarray(picture(i), 'rgb24')
            f.pts, f.time_base = pts, Fraction(1, 25)
            c.mux(v.encode(f))
        c.mux(v.encode(None))
    with av.open(name) as c:
        shown = [(round(f.pts * f.time_base * 25), number(f.to_ndarray(format='rgb24'))) for f in c.decode(video=0)]
    assert shown == [(pts, i) for i, pts in enumerate(ticks)], shown
PY
venv/bin/python - <<'PY'
import cv2
from clip import number

ticks = [*range(50), *range(125, 175)]
wanted = [10, 25, 40, 60, 80]
got, said = [], []
for k in wanted:
    cap = cv2.VideoCapture('pause.mp4')
    assert cap.set(cv2.CAP_PROP_POS_MSEC, 40 * ticks[k])
    got.append(number(cap.read()[1]))
    said.append(round(cap.get(cv2.CAP_PROP_POS_MSEC)))
off = [round(40 * (ticks[g] - ticks[k])) for g, k in zip(got, wanted)]
counts = {name: int(cv2.VideoCapture(name).get(cv2.CAP_PROP_FRAME_COUNT)) for name in ('pause.mp4', 'pause.mkv')}
print('frame wanted', wanted, 'got', got, 'off by', off, 'ms; get says afterwards', said, '; FRAME_COUNT', counts)
assert said == [40 * ticks[g] for g in got]
assert got == [6, 14, 23, 77, 89] and counts == {'pause.mp4': 100, 'pause.mkv': 175}
PY
