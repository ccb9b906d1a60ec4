#!/usr/bin/env bash
# Guess:    moviepy, which cuts and joins films, keeps sound and picture together: where a sound track starts half a
#           second after the picture, or has a hole, audio.to_soundarray() and get_frame() still speak of the same t.
#           decord too.
# Happens:  Both string the decoded sound together from its first sample, whatever its time stamp. Sound that starts at
#           0.48 s is heard 0.48 s early for the whole clip, and behind a hole of 0.5 s everything is early by the hole.
#           The stamps in the file are right: PyAV's pts put each click where the flash is.
# Hurts:    Streams recorded live, cut without re-encoding, or with lost packets: half a second between sight and sound.
# Versions: moviepy 2.2.1, imageio-ffmpeg 0.8.1, decord2 3.4.0, av 18.1.0, numpy 2.4.6
# Seen:     late.mp4, click at 1, 2, 3 s: moviepy and decord 0.52 1.52 2.52; pts 1.00 2.00 3.00 hole.mp4: moviepy and
#           decord 1.00 1.51 2.51; pts 1.00 2.00 3.00
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q moviepy==2.2.1 imageio-ffmpeg==0.8.1 decord2==3.4.0 av==18.1.0 numpy==2.4.6
cat > clicks.py <<'PY'
import numpy as np


def clicks(sound, rate):
    "Times of the three loudest moments, s."
    x, found = np.abs(np.asarray(sound, float)), []
    for _ in range(3):
        k = int(x.argmax())
        found.append(round(k / rate, 2))
        x[max(0, k - rate // 10):k + rate // 10] = 0
    return sorted(found)
PY
venv/bin/python - <<'PY'
import av
import numpy as np
from clicks import clicks
from fractions import Fraction

RATE = 48000
sound = np.random.default_rng(0).normal(0, 0.001, 4 * RATE).astype(np.float32)
for second in (1, 2, 3):
    sound[second * RATE] = 0.9


def write(path, start, hole):
    with av.open(path, 'w') as c:
        v = c.add_stream('libx264', rate=25, width=64, height=48, pix_fmt='yuv420p')
        a = c.add_stream('aac', rate=RATE, layout='mono')
        packets = []
        for i in range(100):
            f = av.VideoFrame.from_ndarray(np.full((48, 64, 3), i, np.uint8), 'rgb24')
            f.pts, f.time_base = i, Fraction(1, 25)
            packets += v.encode(f)
        packets += v.encode(None)
        for i in range(start, len(sound), 1024):
            f = av.AudioFrame.from_ndarray(sound[None, i:i + 1024], format='fltp', layout='mono')
            f.sample_rate, f.pts, f.time_base = RATE, i, Fraction(1, RATE)
            packets += [p for p in a.encode(f) if p.pts // 1024 not in hole]
        packets += a.encode(None)
        for p in sorted(packets, key=lambda p: p.dts * p.time_base):
            c.mux(p)


write('late.mp4', RATE // 2, ())
write('hole.mp4', 0, range(57, 80))                              # packets of 1.2 to 1.7 s
for name in ('late.mp4', 'hole.mp4'):
    whole = np.zeros(5 * RATE)
    with av.open(name) as c:
        for f in c.decode(audio=0):
            at = round(f.pts * f.time_base * RATE)
            whole[at:at + f.samples] = f.to_ndarray()[0]
    print(name, 'by pts', clicks(whole, RATE))
    assert clicks(whole, RATE) == [1.0, 2.0, 3.0]
PY
venv/bin/python - <<'PY'
import decord
import numpy as np
from clicks import clicks
from moviepy import VideoFileClip

for name, expected in (('late.mp4', [0.52, 1.52, 2.52]), ('hole.mp4', [1.0, 1.51, 2.51])):
    got = {
        'moviepy': clicks(VideoFileClip(name).audio.to_soundarray(fps=48000)[:, 0], 48000),
        'decord': clicks(decord.AudioReader(name, mono=True)[:].asnumpy()[0], 48000),
    }
    print(name, got)
    assert all(np.allclose(x, expected, atol=0.015) for x in got.values())
PY
