#!/usr/bin/env bash
# Guess:    seek(t, backward=True), the default, lands on the last full picture at or before t; OpenCV's POS_FRAMES
#           builds on it and decodes up to the wanted frame.
# Happens:  In an MPEG transport stream it lands on the first full picture AFTER t, even for t = the first frame: the
#           start cannot be reached by seeking at all, and behind the last full picture the seek "works" and nothing is
#           decoded. OpenCV answers True to set(POS_FRAMES, 0) and hands out frame 30 (full pictures are 30 apart here).
# Hurts:    Clips from broadcast, HLS downloads and camcorders (.ts, .mts): the picture is up to a second late, labels
#           slip.
# Versions: av 18.1.0, opencv-python-headless 5.0.0.93, numpy 2.4.6
# Seen:     PyAV: wanted 0 10 40 70 100 of 120, got 30 30 60 90 nothing | mp4: 0 0 30 60 90 | OpenCV: set 0 7 21 gives
#           30 31 31
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


def write(path, n=120):
    with av.open(path, 'w') as c:
        options = {'g': '30', 'sc_threshold': '0'}
        v = c.add_stream('libx264', rate=25, width=160, height=64, pix_fmt='yuv420p', options=options)
        for i in range(n):
            f = av.VideoFrame.from_ndarray(picture(i), 'rgb24')
            f.pts, f.time_base = i, Fraction(1, 25)
            c.mux(v.encode(f))
        c.mux(v.encode(None))


def landed(path, k):
    "The number of the first frame that is decoded after a seek to the stamp of frame k."
    with av.open(path) as c:
        s = c.streams.video[0]
        c.seek(s.start_time + round(k / 25 / s.time_base), stream=s, backward=True)
        frame = next(c.decode(s), None)
        return None if frame is None else number(frame.to_ndarray(format='rgb24'))


wanted = (0, 10, 40, 70, 100)
for path, expected in (('clip.mp4', [0, 0, 30, 60, 90]), ('clip.ts', [30, 30, 60, 90, None])):
    write(path)
    got = [landed(path, k) for k in wanted]
    print('PyAV', path, 'wanted', wanted, 'landed on', got)
    assert got == expected
PY
OPENCV_FFMPEG_LOGLEVEL=-8 venv/bin/python - <<'PY'
import cv2
from clip import number

got = {}
for k in (0, 7, 21):
    cap = cv2.VideoCapture('clip.ts')
    assert cap.set(cv2.CAP_PROP_POS_FRAMES, k)
    got[k] = number(cap.read()[1])
print('OpenCV clip.ts: set and read', got)
assert min(got.values()) >= 30
PY
