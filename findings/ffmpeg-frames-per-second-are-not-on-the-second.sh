#!/usr/bin/env bash
# Guess:    `ffmpeg -i clip.mp4 -vf fps=1` and the shorter `-r 1` both sample the clip once a second: output n is the
#           picture shown at n seconds, or the last one before. A clip of 10 s gives 10 pictures.
# Happens:  The fps filter rounds an input's time to the NEAREST output, so output n is the last picture before
#           n + 0.5 s: at 30 fps it is 0.47 s ahead of its own time, from the first one on. `-r 1` goes another way: 12
#           pictures, pictures 0 and 1 at 0 and 1 s, and from then on 1.1 s BEHIND. The two differ by 48 frames. The
#           lead of fps is half an output interval, less half an input's: 46 ms at 8 fps. `round=up` is exact.
# Hurts:    Every pair of a sampled frame with the sound at its time: frame 7 next to second 7 of the sound is half a
#           second early or a second late. Frame labels, VGGish windows and one-per-second features slip likewise.
# Versions: imageio-ffmpeg 0.8.1 (FFmpeg 9.0.2), av 18.1.0 to write, numpy 2.4.6
# Seen:     numbers of the pictures, 30 fps: fps=1 gives 14 44 74 .. 284, -r 1 gives 0 1 26 56 .. 296 (12 pictures),
#           fps=1:round=up gives 0 30 60 .. 270; mean lead at 8 fps: fps=8 +46 ms, -r 8 -154 ms
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q imageio-ffmpeg==0.8.1 av==18.1.0 numpy==2.4.6
venv/bin/python - <<'PY'
import subprocess
from fractions import Fraction

import av
import imageio_ffmpeg
import numpy as np


def picture(i):
    "A frame that carries its number in ten black or white bars."
    bars = np.array([255 * (i >> b & 1) for b in range(10)], np.uint8)
    return np.tile(bars.repeat(16)[None, :, None], (64, 1, 3))


def number(frame):
    return sum(int(frame[20:40, 16 * b + 5:16 * b + 11].mean() > 128) << b for b in range(10))


with av.open('clip.mp4', 'w') as c:
    v = c.add_stream('libx264', rate=30, width=160, height=64, pix_fmt='yuv420p')
    for i in range(300):
        f = av.VideoFrame.from_ndarray(picture(i), 'rgb24')
        f.pts, f.time_base = i, Fraction(1, 30)
        c.mux(v.encode(f))
    c.mux(v.encode(None))


def sampled(*options):
    "The numbers of the pictures that FFmpeg gives with these options."
    command = [imageio_ffmpeg.get_ffmpeg_exe(), '-v', 'error', '-i', 'clip.mp4', *options]
    raw = subprocess.run([*command, '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'], capture_output=True, check=True).stdout
    return [number(x) for x in np.frombuffer(raw, np.uint8).reshape(-1, 64, 160, 3)]


def lead(numbers, rate):
    "By how many milliseconds the pictures are ahead of their own times, on average, the first ten left out."
    return 1000 * np.mean([k / 30 - n / rate for n, k in enumerate(numbers)][10 if rate > 1 else 2:])


seen = {}
for options in (['-vf', 'fps=1'], ['-r', '1'], ['-vf', 'fps=1:round=up'], ['-vf', 'fps=8'], ['-r', '8']):
    rate = 8 if '8' in options[1] else 1
    got = seen[options[-1] if options[0] == '-vf' else 'r=' + options[1]] = sampled(*options)
    print(' '.join(options), ':', len(got), 'pictures', got[:5], '..', got[-1], f'lead {lead(got, rate):+.0f} ms')
assert seen['fps=1'] == list(range(14, 300, 30))
assert len(seen['r=1']) == 12 and seen['r=1'][2:] == list(range(26, 300, 30))
assert seen['fps=1:round=up'] == list(range(0, 300, 30))
assert 40 < lead(seen['fps=8'], 8) < 60 and lead(seen['r=8'], 8) < -150
PY
