#!/usr/bin/env bash
# Guess:    A fragmented mp4 says either the right number of frames or none (0), and a seek beyond what the reader knows
#           fails.
# Happens:  With frag_keyframe alone the header describes the first fragment only, and says so as if it were all: PyAV's
#           stream.frames and OpenCV's FRAME_COUNT are 16 for a file of 100 frames. OpenCV then clamps every seek to 16:
#           set(POS_FRAMES, 60) answers True and the next read returns frame 16. Reading in order gives all 100.
# Hurts:    Evenly sampled frames of a clip are one picture, repeated; nothing is raised.
# Versions: av 18.1.0, opencv-python-headless 5.0.0.93, numpy 2.4.6
# Seen:     frag_keyframe: PyAV 16, OpenCV 16, in order 100, seeks to 0 10 60 90 give 0 10 16 16
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
from clip import picture
from fractions import Fraction

with av.open('some.mp4', 'w', options={'movflags': 'frag_keyframe'}) as c:
    options = {'g': '16', 'sc_threshold': '0'}
    v = c.add_stream('libx264', rate=25, width=160, height=64, pix_fmt='yuv420p', options=options)
    for i in range(100):
        f = av.VideoFrame.from_ndarray(picture(i), 'rgb24')
        f.pts, f.time_base = i, Fraction(1, 25)
        c.mux(v.encode(f))
    c.mux(v.encode(None))
with av.open('some.mp4') as c:
    print('PyAV: stream.frames', c.streams.video[0].frames)
    assert c.streams.video[0].frames == 16
    assert sum(1 for _ in c.decode(video=0)) == 100
PY
venv/bin/python - <<'PY'
import cv2
from clip import number

cap = cv2.VideoCapture('some.mp4')
count = int(cap.get(cv2.CAP_PROP_FRAME_COUNT))
in_order = []
while (read := cap.read())[0]:
    in_order.append(number(read[1]))
sought = {}
for k in (0, 10, 60, 90):
    assert cap.set(cv2.CAP_PROP_POS_FRAMES, k)
    sought[k] = number(cap.read()[1])
print(f'OpenCV: count {count}, in order {len(in_order)}, seeks {sought}')
assert count == 16 and in_order == list(range(100)) and sought == {0: 0, 10: 10, 60: 16, 90: 16}
PY
