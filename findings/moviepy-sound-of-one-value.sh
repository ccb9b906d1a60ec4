#!/usr/bin/env bash
# Guess:    AudioFileClip(path).to_soundarray(fps=16000) is the sound at 16 kHz, perhaps badly resampled.
# Happens:  For most lengths it is ONE value, repeated: 32,000 equal samples for 2 s of noise, 160,000 for 10 s. Where
#           more than half of the reader's buffer is wanted at once, it splits the request and passes on a mask of True
#           in place of the times; every True is read as t = 1 s. 4 s come out right, and the file's own rate mostly
#           does, because other limits then cut the request smaller. A file of 1 s raises OSError at any rate, its own
#           too.
# Hurts:    A folder of silent-looking clips, or a model trained on constants: the array has the right shape and dtype.
# Versions: moviepy 2.2.1, imageio-ffmpeg 0.8.1, soundfile 0.14.0, numpy 2.4.6
# Seen:     values that differ at 16 kHz: 2 s 1 of 32000, 3 s 1 of 48000, 4 s 10466 of 64000, 5 s 1 of 80000, 10 s 1 of
#           160000
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q moviepy==2.2.1 imageio-ffmpeg==0.8.1 soundfile==0.14.0 numpy==2.4.6
venv/bin/python -W ignore - <<'PY'
import numpy as np
import soundfile
from moviepy import AudioFileClip

noise = np.random.default_rng(0).normal(0, 0.1, 10 * 48000)
for seconds, whole in [(2, False), (3, False), (4, True), (5, False), (10, False)]:
    soundfile.write('noise.wav', noise[:seconds * 48000], 48000)
    x = AudioFileClip('noise.wav').to_soundarray(fps=16000)[:, 0]
    print(f'{seconds} s: {len(x)} samples, {len(np.unique(x))} different values, rms {x.std():.3f}')
    assert len(x) == seconds * 16000 and (len(np.unique(x)) > 5000) == whole and (len(np.unique(x)) == 1) != whole
soundfile.write('noise.wav', noise[:48000], 48000)
for rate in (16000, 44100):
    try:
        AudioFileClip('noise.wav').to_soundarray(fps=rate)
    except OSError as e:
        print(f'1 s at {rate} Hz: {str(e).splitlines()[0].strip()}')
    else:
        raise AssertionError(f'1 s at {rate} Hz can be read')
PY
