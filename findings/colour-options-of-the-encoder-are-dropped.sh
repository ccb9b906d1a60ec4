#!/usr/bin/env bash
# Guess:    ffmpeg's output options -colorspace, -color_primaries and -color_trc say all three in the file, for frames piped in as rgb24.
# Happens:  Only the matrix is written: primaries and transfer of the frames ("unknown") win over the two options, without a
#           warning, and mp4 gets no 'colr' box. The filter setparams writes all three.
# Hurts:    Browsers believe the matrix only where all three are said: films of 720 lines and more (moviepy, imageio) are shown with
#           the wrong matrix although the command said the right one.
# Versions: imageio-ffmpeg 0.8.1 (its ffmpeg), av 18.1.0, numpy 2.4.6
# Seen:     (matrix, primaries, transfer, colr box): options (6, 2, 2, no); setparams (6, 1, 1, yes)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1 av==18.1.0 numpy==2.4.6
venv/bin/python - <<'PY'
import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np

pictures = np.random.default_rng(0).integers(0, 255, (4, 96, 160, 3), dtype=np.uint8).tobytes()
options = ['-colorspace', 'smpte170m', '-color_primaries', 'bt709', '-color_trc', 'bt709']
filtered = ['-vf', 'setparams=colorspace=smpte170m:color_primaries=bt709:color_trc=bt709']


def tags(how):
    if how is filtered:
        how = ['-vf', 'scale=out_color_matrix=bt601,' + how[1]]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), '-v', 'error', '-y', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', '160x96',
               '-r', '8', '-i', '-', *how, '-c:v', 'libx264', '-pix_fmt', 'yuv420p', 'clip.mp4']
    subprocess.run(command, input=pictures, check=True)
    with av.open('clip.mp4') as c:
        f = next(c.decode(video=0))
    return f.colorspace, f.color_primaries, f.color_trc, b'colr' in Path('clip.mp4').read_bytes()


seen = tags(options), tags(filtered)
print(seen)
assert seen == ((6, 2, 2, False), (6, 1, 1, True))
PY
