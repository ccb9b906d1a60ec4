#!/usr/bin/env bash
# Guess:    A WAV file of MS or IMA ADPCM holds blocks of equal size and length, so a seek lands on a block and its time
#           stamp is exact, as it is in AVI and mov.
# Happens:  The packets have no stamps but the one that a seek sets, and that one is reckoned as 4 bits a sample,
#           without the header of each block. Stamps run slow by 0.59 % (MS) and 0.34 % (IMA, blocks of 1024 bytes): 50
#           s into the file, the sound said to be at t is that of t - 0.293 s (MS), t - 0.171 s (IMA). Duration and
#           reading in order are right.
# Hurts:    Windows cut from long field recordings or telephone speech get the label of another moment.
# Versions: av 18.1.0 (its own FFmpeg), numpy 2.4.6
# Seen:     adpcm_ms: 10 s -58.5 ms, 30 s -175.5 ms, 50 s -292.8 ms | adpcm_ima_wav: -34.1, -102.4, -170.8 ms | avi
#           adpcm_ms: 0 ms
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q av==18.1.0 numpy==2.4.6
venv/bin/python - <<'PY'
import av
import numpy as np
from fractions import Fraction

RATE = 44100
walk = np.cumsum(np.random.default_rng(0).normal(size=60 * RATE))
sound = np.round(20000 * np.sin(walk / 8)).astype(np.int16)


def write(path, codec):
    with av.open(path, 'w') as c:
        a = c.add_stream(codec, rate=RATE, layout='mono')
        a.codec_context.open()
        to_format = av.AudioResampler(format=a.codec_context.format.name, layout='mono', rate=RATE)
        step = a.codec_context.frame_size
        for i in range(0, len(sound) // step * step, step):
            f = av.AudioFrame.from_ndarray(sound[None, i:i + step], format='s16', layout='mono')
            f.sample_rate, f.pts, f.time_base = RATE, i, Fraction(1, RATE)
            for g in to_format.resample(f):
                c.mux(a.encode(g))
        c.mux(a.encode(None))


def error_ms(path, second, whole):
    "Where the first frame after a seek really comes from, less where its stamp says, in ms."
    with av.open(path) as c:
        c.seek(second * 1_000_000)
        frame = next(c.decode(audio=0))
    x = frame.to_ndarray()[0]
    starts = np.flatnonzero(whole[:-len(x) + 1] == x[0])
    at, = [k for k in starts if np.array_equal(whole[k:k + len(x)], x)]
    return 1000 * (at / RATE - float(frame.pts * frame.time_base))


for path, codec, expected in [
    ('clip.wav', 'adpcm_ms', (-58.5, -175.5, -292.8)),
    ('clip.wav', 'adpcm_ima_wav', (-34.1, -102.4, -170.8)),
    ('clip.avi', 'adpcm_ms', (0, 0, 0)),
]:
    write(path, codec)
    with av.open(path) as c:
        whole = np.concatenate([f.to_ndarray()[0] for f in c.decode(audio=0)])
    assert abs(len(whole) / RATE - 60) < 0.1
    got = [error_ms(path, s, whole) for s in (10, 30, 50)]
    print(f'{path} {codec:13s} real place minus stamp at 10, 30, 50 s:', ' '.join(f'{x:+.1f}' for x in got), 'ms')
    assert np.allclose(got, expected, atol=1), (codec, got)
PY
