#!/usr/bin/env bash
# Guess:    reformat(dst_color_trc=...) is what its docstring says: "This sets frame metadata only; it does not perform a pixel-level
#           transfer function conversion."
# Happens:  In av 17.1.0 it only tags. In 18.1.0, with the same docstring, the pixels of a PQ frame are tone-mapped (grey 147 of
#           white paper becomes 254), and the first call builds a table for a second or more.
# Hurts:    An update changes HDR pixels under code that only wanted a tag; code that wants the conversion gets none before it.
# Versions: av 17.1.0 and 18.1.0 (their own FFmpeg), numpy 2.4.6
# Seen:     grey without | with dst_color_trc=BT709: 17.1.0 147 | 147, 18.1.0 147 | 254
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for version in 17.1.0 18.1.0; do
    python3 -m venv "$version"
    "$version/bin/pip" install --quiet --disable-pip-version-check "av==$version" numpy==2.4.6
    "$version/bin/python" - <<'PY'
import av
import numpy as np
from av.video.reformatter import ColorTrc, VideoReformatter

assert 'sets frame metadata only' in VideoReformatter.reformat.__doc__
code = np.full((64, 64, 3), round(0.5807 * 65535), np.uint16)                    # white paper, 203 cd/m2, in PQ
frame = av.VideoFrame.from_ndarray(code, format='rgb48le').reformat(format='yuv420p10le')
frame.color_trc, frame.color_primaries = 16, 9                                   # SMPTE ST 2084, BT.2020
grey = [int(VideoReformatter().reformat(frame, format='rgb24', **how).to_ndarray()[32, 32, 1])
        for how in ({}, {'dst_color_trc': ColorTrc.BT709})]
print(av.__version__, grey)
assert abs(grey[0] - 148) <= 2
if av.__version__ == '17.1.0':
    assert grey[0] == grey[1]
else:
    assert abs(grey[0] - grey[1]) > 40
PY
done
