#!/usr/bin/env bash
# Guess:    A selfie clip whose display matrix mirrors left and right has rotation 0: readers that know rotation only
#           show it unmirrored, which does little harm.
# Happens:  The angle is computed from two entries of the matrix, and for a mirror they say 180 degrees: PyAV's
#           frame.rotation is -180, and OpenCV and decord turn the picture UPSIDE DOWN. The ffmpeg program (through
#           imageio and moviepy) mirrors it, as players do. A vertical flip reads as 0 degrees and is not applied by
#           OpenCV, decord or PyAV.
# Hurts:    Faces upside down, boxes at the wrong corner; nothing is raised. A matrix with a negative determinant must
#           be read whole.
# Versions: av 18.1.0, opencv-python-headless 5.0.0.93, decord2 3.4.0 (decord 0.6.0 too), imageio 2.38.1, imageio-ffmpeg
#           0.8.1
# Seen:     stored corners RG/BW, mirror wants GR/WB: imageio GR/WB, OpenCV WB/GR, decord WB/GR, PyAV rotation -180 flip
#           wants BW/RG: imageio BW/RG, OpenCV RG/BW, decord RG/BW, PyAV rotation 0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q av==18.1.0 opencv-python-headless==5.0.0.93 decord2==3.4.0 imageio==2.38.1 \
    imageio-ffmpeg==0.8.1 numpy==2.4.6
cat > corners.py <<'PY'
NAMES = {(1, 0, 0): 'R', (0, 1, 0): 'G', (0, 0, 1): 'B', (1, 1, 1): 'W'}


def corners(rgb):
    "Colours of the four quarters, as RG/BW for red, green above blue, white."
    h, w = rgb.shape[:2]
    at = [NAMES[tuple(int(x > 128) for x in rgb[y, x])] for y in (h // 4, 3 * h // 4) for x in (w // 4, 3 * w // 4)]
    return f'{at[0]}{at[1]}/{at[2]}{at[3]}'
PY
venv/bin/python - <<'PY'
import av
import numpy as np
import struct
from fractions import Fraction

W, H = 160, 64
picture = np.zeros((H, W, 3), np.uint8)
picture[:32, :80, 0] = picture[:32, 80:, 1] = picture[32:, :80, 2] = 255
picture[32:, 80:] = 255
with av.open('plain.mp4', 'w') as c:
    v = c.add_stream('libx264', rate=25, width=W, height=H, pix_fmt='yuv420p')
    for i in range(10):
        f = av.VideoFrame.from_ndarray(picture, 'rgb24')
        f.pts, f.time_base = i, Fraction(1, 25)
        c.mux(v.encode(f))
    c.mux(v.encode(None))
plain = open('plain.mp4', 'rb').read()
at = plain.index(b'tkhd') + 44                                  # matrix of the track header, nine numbers of 32 bits
one = 1 << 16
for name, matrix in [
    ('mirror', (-one, 0, 0, 0, one, 0, W * one, 0, 1 << 30)),
    ('flip', (one, 0, 0, 0, -one, 0, 0, H * one, 1 << 30)),
]:
    with open(f'{name}.mp4', 'wb') as f:
        f.write(plain[:at] + struct.pack('>9i', *matrix) + plain[at + 36:])
for name, rotation in (('mirror', -180), ('flip', 0)):
    with av.open(f'{name}.mp4') as c:
        frame = next(c.decode(video=0))
    print('PyAV', name, 'rotation', frame.rotation)
    assert frame.rotation == rotation
PY
venv/bin/python - <<'PY'
import cv2
import imageio.v3 as iio
from corners import corners

for name, right, seen in (('mirror', 'GR/WB', 'WB/GR'), ('flip', 'BW/RG', 'RG/BW')):
    by_ffmpeg = corners(iio.imread(f'{name}.mp4', index=0, plugin='FFMPEG'))
    by_opencv = corners(cv2.VideoCapture(f'{name}.mp4').read()[1][..., ::-1])
    print(name, 'imageio', by_ffmpeg, 'OpenCV', by_opencv)
    assert (by_ffmpeg, by_opencv) == (right, seen)
PY
venv/bin/python - <<'PY'
import decord
from corners import corners

for name, seen in (('mirror', 'WB/GR'), ('flip', 'RG/BW')):
    got = corners(decord.VideoReader(f'{name}.mp4')[0].asnumpy())
    print(name, 'decord', got)
    assert got == seen
PY
