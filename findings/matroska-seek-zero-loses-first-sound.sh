#!/usr/bin/env bash
# Guess:    container.seek(0) on a file just opened changes nothing: decoding starts at the first sample either way.
# Happens:  In Matroska and WebM it drops the whole first packet of sound: 1024 samples of AAC, 960 of Opus, 1536 of
#           AC-3. The stream begins at a negative time (the encoder's delay), so that packet lies before 0 and the seek
#           steps over it, although most of it is heard after 0. The first stamp tells (0.021 s, not 0); who counts
#           samples from the start has the whole sound early by that much. FLAC has no delay and loses nothing; nor does
#           any codec in mp4.
# Hurts:    "Rewind, then decode" in training loops gives another waveform than "open, then decode" of the same file.
# Versions: av 18.1.0 (its own FFmpeg), numpy 2.4.6
# Seen:     samples lost and first stamp: mka aac 1024, 0.021 s | webm opus 960, 0.021 s | mka ac3 1536, 0.032 s | mka
#           flac 0 | m4a aac 0
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

RATE = 48000
sound = np.random.default_rng(0).normal(0, 0.1, 8 * RATE).astype(np.float32)


def write(path, codec):
    with av.open(path, 'w') as c:
        a = c.add_stream(codec, rate=RATE, layout='mono')
        a.codec_context.open()
        to_format = av.AudioResampler(format=a.codec_context.format.name, layout='mono', rate=RATE)
        step = a.codec_context.frame_size or 1024
        for i in range(0, len(sound), step):
            f = av.AudioFrame.from_ndarray(sound[None, i:i + step], format='fltp', layout='mono')
            f.sample_rate, f.pts, f.time_base = RATE, i, Fraction(1, RATE)
            for g in to_format.resample(f):
                c.mux(a.encode(g))
        c.mux(a.encode(None))


def decoded(path, rewind):
    "Samples in all, and the stamp of the first, s."
    with av.open(path) as c:
        if rewind:
            c.seek(0)
        frames = list(c.decode(audio=0))
        return sum(f.samples for f in frames), float(frames[0].pts * frames[0].time_base)


for name, codec, lost, first in [
    ('clip.mka', 'aac', 1024, 0.021), ('clip.webm', 'libopus', 960, 0.021), ('clip.mka', 'ac3', 1536, 0.032),
    ('clip.mka', 'flac', 0, 0.0), ('clip.m4a', 'aac', 0, 0.0),
]:
    write(name, codec)
    whole, start = decoded(name, rewind=False)
    rest, begun = decoded(name, rewind=True)
    print(f'{name:9s} {codec:8s} opened: {whole} samples from {start:.3f} s,',
          f'after seek(0): {rest} ({rest - whole}) from {begun:.3f} s')
    assert start == 0 and whole - rest == lost and abs(begun - first) < 0.0005, (name, codec)
PY
