#!/usr/bin/env bash
# Guess:    An array for a planar pixel format of PyAV is [3, H, W] for yuv444p and so for yuv444p16le, its twin of 16 bits.
# Happens:  yuv444p takes [3, H, W]; yuv444p16le takes [H, W, 3] alone, from_ndarray as well as to_ndarray.
# Hurts:    Code that works for 8 bits fails for 16, or, where height and width happen to be 3, or are broadcast later, mixes
#           lines with channels.
# Versions: av 18.1.0, numpy 2.4.6
# Seen:     to_ndarray of a frame of 6 x 4 pixels: yuv444p (3, 4, 6), yuv444p16le (4, 6, 3)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
venv/bin/python - <<'PY'
import av
import numpy as np

shapes = {name: av.VideoFrame(6, 4, name).to_ndarray().shape for name in ('yuv444p', 'yuv444p16le')}
print(shapes)
assert shapes == {'yuv444p': (3, 4, 6), 'yuv444p16le': (4, 6, 3)}
try:
    av.VideoFrame.from_ndarray(np.zeros((3, 4, 6), np.uint16), format='yuv444p16le')
except ValueError as e:
    print(e)
else:
    raise SystemExit('planes first are taken now')
PY
