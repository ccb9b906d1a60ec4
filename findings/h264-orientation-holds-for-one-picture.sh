#!/usr/bin/env bash
# Guess:    H.264's display orientation message with a repetition period of 1 ("from here on, until told otherwise",
#           which the usual tool writes) turns all pictures, so the DISPLAYMATRIX of any decoded frame tells how to
#           show the film.
# Happens:  FFmpeg's decoder attaches it to the picture that carries the message alone: the first frame is turned,
#           those after it are not. The stream itself says nothing either. Stacking frames made upright one by one
#           fails or, for half turns and mirrors, mixes two orientations without a word.
# Hurts:    Frames of cameras and encoders that mark rotation in the stream (no container header survives there: TS,
#           raw H.264).
# Versions: av 18.1.0 (FFmpeg 8), numpy 2.4.6
# Seen:     frames that say an orientation: 1 of 20 (one message, one per full picture)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
venv/bin/python - <<'PY'
from fractions import Fraction

import av
import numpy as np
from av.bitstream import BitStreamFilterContext

with av.open('x.mkv', 'w') as c:
    v = c.add_stream('libx264', rate=25, width=96, height=64, pix_fmt='yuv420p', options={'g': '250'})
    c.start_encoding()
    turn = BitStreamFilterContext('h264_metadata=display_orientation=insert:rotate=180', v)
    packets = []
    for i in range(20):
        x = np.random.default_rng(i).integers(0, 256, (64, 96, 3), dtype=np.uint8)
        f = av.VideoFrame.from_ndarray(x, 'rgb24')
        f.pts, f.time_base = i, Fraction(1, 25)
        packets += v.encode(f)
    for p in [*packets, *v.encode(None)]:
        for q in turn.filter(p): c.mux(q)
    for q in turn.filter(None): c.mux(q)

with av.open('x.mkv') as c: said = [abs(f.rotation) for f in c.decode(video=0)]
print('rotation of the frames', said)
assert said[0] == 180 and set(said[1:]) == {0} and len(said) == 20
PY
