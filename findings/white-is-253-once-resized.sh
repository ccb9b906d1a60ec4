#!/usr/bin/env bash
# Guess:    White and grey of limited range (luma 235 and 126 of 8 bits, 940 and 504 of 10, chroma in the middle) are
#           255 and 128 in rgb24, whatever they are stored in, and whether or not the picture is made smaller in the
#           same call.
# Happens:  Only yuv420p and yuv422p at their own size, and yuv444p, give 255 and 128. As soon as reformat also resizes,
#           by any amount and with any interpolation, ACCURATE_RND too, white is 253 and grey 126; from nv12 and 10-bit
#           formats it is so at every size: another code path cuts fractions off. Two calls, to rgb24 and then to the
#           size (or from 10 bits to yuv444p first), give 254 to 255. In writing, rgb24 grey put into yuvj420p (MJPEG)
#           comes back greenish, (126, 128, 126).
# Hurts:    Frames resized while decoding are 2 levels darker than the same frames resized afterwards, and 10-bit HEVC
#           or hardware-decoded clips than 8-bit H.264: a mean shift between training and use, or between sources, that
#           a net finds at once.
# Versions: av 18.1.0 (its own FFmpeg), numpy 2.4.6
# Seen:     white and grey at 64 x 64 | made 32 x 32: yuv420p 255 128 | 253 126, yuv422p 255 128 | 253 126, yuv444p 255
#           128 | 255 128, nv12, yuv420p10le, yuv422p10le and p010le 253 126 | 253 126; in two calls 254 to 255; rgb24
#           (128, 128, 128) through yuvj420p: (126, 128, 126)
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

def filled(form, luma):
    "A picture whose planes are filled by hand: `luma` (of 8 bits), and chroma in the middle."
    f = av.VideoFrame(64, 64, form)
    deep = '10' in form
    shift = (8 if form == 'p010le' else 2) if deep else 0        # p010 keeps its ten bits at the top of sixteen
    dtype = np.dtype(np.uint16 if deep else np.uint8)
    for plane, value in zip(f.planes, (luma, 128, 128)):
        plane.update(np.full(plane.buffer_size // dtype.itemsize, value << shift, dtype).tobytes())
    return f


def level(frame, **options):
    "The one level of all three colours in rgb24."
    rgb = frame.reformat(format='rgb24', **options).to_ndarray()[8:-8, 8:-8]
    assert len(np.unique(rgb)) == 1, np.unique(rgb)
    return int(rgb[0, 0, 0])


small = dict(width=32, height=32)
for form, whole, resized in [
    ('yuv420p', (255, 128), (253, 126)), ('yuv422p', (255, 128), (253, 126)), ('yuv444p', (255, 128), (255, 128)),
    ('nv12', (253, 126), (253, 126)), ('yuv420p10le', (253, 126), (253, 126)), ('yuv422p10le', (253, 126), (253, 126)),
    ('p010le', (253, 126), (253, 126)),
]:
    white, grey = filled(form, 235), filled(form, 126)
    for kind in ('BILINEAR', 'BICUBIC', 'AREA'):
        got = tuple((level(white, **o), level(grey, **o)) for o in ({}, dict(interpolation=kind, **small)))
        assert got == (whole, resized), (form, kind, got)
    print(f'{form:11s} white and grey {got[0]}, made smaller {got[1]}')
for form, first, then in (('yuv420p', 'rgb24', small), ('yuv420p10le', 'yuv444p', {}), ('nv12', 'yuv420p', {})):
    two = filled(form, 235).reformat(format=first).reformat(format='rgb24', **then).to_ndarray()
    print(f'{form} to {first}, then {"made smaller" if then else "to rgb24"}: white {np.unique(two).tolist()}')
    assert two.min() >= 254
grey = np.full((64, 64, 3), 128, np.uint8)
back = av.VideoFrame.from_ndarray(grey, 'rgb24').reformat(format='yuvj420p').to_ndarray(format='rgb24')[32, 32].tolist()
print('grey 128 written to yuvj420p and back:', back)
assert back == [126, 128, 126]
PY
