#!/usr/bin/env bash
# Guess:    Neutral white and grey of limited range (luma 235 and 126 of 8 bits, 940 and 504 of 10, chroma in the
#           middle) are 255 and 128 in rgb24, whatever the layout or depth they are stored in.
# Happens:  From yuv420p and yuv444p they are. From nv12 and from 10-bit formats white is 253 and grey 126: another code
#           path cuts fractions off. In writing, rgb24 grey put into yuvj420p (MJPEG, phones) comes back greenish, (126,
#           128, 126).
# Hurts:    Hardware-decoded (nv12) and 10-bit HEVC clips are 2 levels darker than the same picture from 8-bit H.264: a
#           mean shift by source that a net without any sense finds at once.
# Versions: av 18.1.0 (its own FFmpeg), numpy 2.4.6
# Seen:     white and grey: yuv420p 255 128, yuv444p 255 128, nv12 253 126, yuv420p10le 253 126, yuv422p10le 253 126,
#           p010le 253 126; rgb24 (128, 128, 128) through yuvj420p: (126, 128, 126)
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

def neutral(form, luma):
    "Level in rgb24 of a picture whose planes are filled by hand: `luma` (of 8 bits), and chroma in the middle."
    f = av.VideoFrame(64, 64, form)
    deep = '10' in form
    shift = (8 if form == 'p010le' else 2) if deep else 0        # p010 keeps its ten bits at the top of sixteen
    for plane, value in zip(f.planes, (luma, 128, 128)):
        dtype = np.dtype(np.uint16 if deep else np.uint8)
        plane.update(np.full(plane.buffer_size // dtype.itemsize, value << shift, dtype).tobytes())
    colours = np.unique(f.to_ndarray(format='rgb24')[8:-8, 8:-8].reshape(-1, 3), axis=0)
    assert len(colours) == 1 and len(set(colours[0].tolist())) == 1, (form, colours)
    return int(colours[0, 0])


for form, expected in [
    ('yuv420p', (255, 128)), ('yuv444p', (255, 128)), ('nv12', (253, 126)), ('yuv420p10le', (253, 126)),
    ('yuv422p10le', (253, 126)), ('p010le', (253, 126)),
]:
    got = neutral(form, 235), neutral(form, 126)
    print(f'{form:11s} white {got[0]}, grey {got[1]}')
    assert got == expected, (form, got)
grey = np.full((64, 64, 3), 128, np.uint8)
back = av.VideoFrame.from_ndarray(grey, 'rgb24').reformat(format='yuvj420p').to_ndarray(format='rgb24')[32, 32].tolist()
print('grey 128 written to yuvj420p and back:', back)
assert back == [126, 128, 126]
PY
