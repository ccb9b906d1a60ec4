#!/usr/bin/env bash
# Guess:    An mp4 whose edit list hides the first 10 of 100 pictures (a cut without re-encoding, a phone's trim) has 90
#           frames, index 0 is the first shown, and every reader agrees.
# Happens:  decord says 100 and means two things by an index: read in order, index i is picture i + 10 (and the last ten
#           are repeats of the last); after a jump, index i is picture i. vr[50] is picture 60 or picture 50, by what
#           was read before. OpenCV shows 90 but counts 100: the last 10 of its frame numbers cannot be read. PyAV shows
#           90.
# Hurts:    Frame numbers of labels against pictures: up to the length of the hidden stretch, often a second or more.
# Versions: decord2 3.4.0 (decord 0.6.0 does the same), opencv-python-headless 5.0.0.93, av 18.1.0, numpy 2.4.6
# Seen:     PyAV 90 frames from picture 10 | OpenCV count 100, 90 read | decord len 100, in order vr[50] = 60, after a
#           jump vr[50] = 50
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q av==18.1.0 decord2==3.4.0 opencv-python-headless==5.0.0.93 numpy==2.4.6
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

with av.open('cut.mp4', 'w') as c:
    v = c.add_stream('libx264', rate=25, width=160, height=64, pix_fmt='yuv420p')
    v.codec_context.gop_size = 30
    for i in range(100):
        f = av.VideoFrame.from_ndarray(picture(i), 'rgb24')
        f.pts, f.time_base = i - 10, Fraction(1, 25)             # the edit list starts at 0 and hides the first ten
        c.mux(v.encode(f))
    c.mux(v.encode(None))
with av.open('cut.mp4') as c:
    shown = [(float(f.pts * f.time_base), number(f.to_ndarray(format='rgb24'))) for f in c.decode(video=0)]
print('PyAV:', len(shown), 'frames, the first at', shown[0][0], 's is picture', shown[0][1])
assert [k for _, k in shown] == list(range(10, 100)) and shown[0][0] == 0
PY
venv/bin/python - <<'PY'
import cv2
from clip import number

cap = cv2.VideoCapture('cut.mp4')
count, read = int(cap.get(cv2.CAP_PROP_FRAME_COUNT)), []
while (frame := cap.read())[0]:
    read.append(number(frame[1]))
print('OpenCV: count', count, 'read', len(read), 'from picture', read[0])
assert count == 100 and read == list(range(10, 100))
PY
venv/bin/python - <<'PY'
import decord
from clip import number

reader = decord.VideoReader('cut.mp4')
in_order = [number(reader[i].asnumpy()) for i in range(len(reader))]
jumped = {k: number(decord.VideoReader('cut.mp4')[k].asnumpy()) for k in (35, 50, 70, 95)}
print('decord: len', len(reader), 'in order', {k: in_order[k] for k in jumped}, 'after a jump', jumped)
assert len(reader) == 100 and in_order == [*range(10, 100)] + [99] * 10
assert jumped == {k: k for k in jumped}
PY
