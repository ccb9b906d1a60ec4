#!/usr/bin/env bash
# Guess:    A phone clip stored lying, with a quarter turn in its display matrix, comes out upright from every
#           high-level reader, or at worst lying; two plugins of one library agree.
# Happens:  imageio: plugin FFMPEG gives it upright (160 x 64 turned to 64 wide, 160 high), plugin pyav gives it lying.
#           moviepy gives the upright picture SQUEEZED into the lying frame: 160 wide, 64 high, objects 6 times too flat
#           here; it asks the program for the stored size, does not see the turn, and reports rotation 0.
# Hurts:    Aspect ratios and boxes of every upright phone clip, silently; what one script learnt another one shows
#           lying.
# Versions: moviepy 2.2.1, imageio 2.38.1, imageio-ffmpeg 0.8.1, av 18.1.0, numpy 2.4.6
# Seen:     imageio FFMPEG (160, 64) BR/WG | imageio pyav (64, 160) RG/BW | moviepy (64, 160) BR/WG, rotation 0; stored
#           RG/BW
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q moviepy==2.2.1 imageio==2.38.1 imageio-ffmpeg==0.8.1 av==18.1.0 numpy==2.4.6
venv/bin/python - <<'PY'
import av
import imageio.v3 as iio
import numpy as np
import struct
from fractions import Fraction
from moviepy import VideoFileClip

W, H = 160, 64
NAMES = {(1, 0, 0): 'R', (0, 1, 0): 'G', (0, 0, 1): 'B', (1, 1, 1): 'W'}


def corners(rgb):
    "Height and width, and the colours of the four quarters, as RG/BW for red, green above blue, white."
    h, w = rgb.shape[:2]
    at = [NAMES[tuple(int(x > 128) for x in rgb[y, x])] for y in (h // 4, 3 * h // 4) for x in (w // 4, 3 * w // 4)]
    return (h, w), f'{at[0]}{at[1]}/{at[2]}{at[3]}'


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
with open('turned.mp4', 'wb') as f:
    f.write(plain[:at] + struct.pack('>9i', 0, one, 0, -one, 0, 0, H * one, 0, 1 << 30) + plain[at + 36:])
movie = VideoFileClip('turned.mp4')
got = {
    'imageio FFMPEG': corners(iio.imread('turned.mp4', index=0, plugin='FFMPEG')),
    'imageio pyav': corners(iio.imread('turned.mp4', index=0, plugin='pyav')),
    'moviepy': corners(movie.get_frame(0)),
}
for name, seen in got.items():
    print(f'{name:15s}', *seen)
print('moviepy rotation', movie.rotation, 'size', movie.size)
assert got['imageio FFMPEG'] == ((160, 64), 'BR/WG') and got['imageio pyav'] == ((64, 160), 'RG/BW')
assert got['moviepy'] == ((64, 160), 'BR/WG')
assert movie.rotation == 0
PY
