#!/usr/bin/env bash
# Guess:    sound that a muxer accepts comes back at its own speed: if AVI takes E-AC-3, AMR or G.722, it plays.
# Happens:  FFmpeg writes the AVI header of those codecs so that its own demuxer counts packets wrongly: stamps rise
#           by 6.144 s per packet of 32 ms (E-AC-3, 192-fold), AMR and G.722 likewise. No error while writing or
#           reading; all samples decode. AC-3 and MP3 beside them are right.
# Hurts:    "Convert everything to .avi" scripts: whoever places sound by its stamps reads silence, and a length of 40
#           minutes.
# Versions: av 18.1.0 (FFmpeg 8), numpy 2.4.6
# Seen:     stamps of 4 s of sound end at: ac3 4 s, eac3 762 s, libopencore_amrnb 28 s, g722 637 s
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


def ends(codec, rate, seconds=4):
    "The last stamp (s) and the decoded seconds of that much sound beside a picture."
    with av.open('x.avi', 'w') as c:
        v = c.add_stream('mpeg4', rate=25, width=96, height=64, pix_fmt='yuv420p')
        a = c.add_stream(codec, rate=rate, layout='mono')
        r, n = np.random.default_rng(0), rate // 25
        for i in range(25 * seconds):
            f = av.VideoFrame.from_ndarray(r.integers(0, 256, (64, 96, 3), dtype=np.uint8), 'rgb24')
            f.pts, f.time_base = i, Fraction(1, 25)
            c.mux(v.encode(f))
            s = av.AudioFrame.from_ndarray(r.normal(0, 0.1, (1, n)).astype(np.float32), 'fltp', 'mono')
            s.sample_rate, s.pts, s.time_base = rate, n * i, Fraction(1, rate)
            c.mux(a.encode(s))
        c.mux(v.encode(None))
        c.mux(a.encode(None))
    with av.open('x.avi') as c: frames = list(c.decode(audio=0))
    return round(float(frames[-1].pts * frames[-1].time_base)), round(sum(f.samples for f in frames) / rate, 1)


found = {k: ends(k, r) for k, r in (('ac3', 48000), ('eac3', 48000), ('libopencore_amrnb', 8000), ('g722', 16000))}
print('last stamp (s), decoded (s):', found)
assert all(abs(decoded - 4) < 0.1 for _, decoded in found.values())
assert found['ac3'][0] == 4 and min(found[k][0] for k in found if k != 'ac3') > 20
PY
