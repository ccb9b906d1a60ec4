#!/usr/bin/env bash
# Guess:    librosa.time_to_frames undoes librosa.frames_to_time with the same settings; rounding is someone else's
#           problem.
# Happens:  Times are multiplied by the rate and cut, not rounded: k -> time -> frame gives k - 1 for 7 % of all frames
#           at the default 22,050 Hz (15, 23, 30, 46 ...), 6 % at 48 kHz with a hop of 10 ms; samples_to_time and back
#           fail alike. What calls it shares it (events to frames, beats, onsets).
# Hurts:    Labels of one frame slip to the frame before, at places that depend on nothing but the last bit of a
#           product.
# Versions: librosa 0.11.0, numpy 2.4.6
# Seen:     wrong of 100,000 frames: 22050/512 7020, 44100/441 5975, 48000/480 5982, 16000/160 590; first at 15, 35, 29,
#           201; always by -1
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q librosa==0.11.0 numpy==2.4.6
venv/bin/python - <<'PY'
import librosa
import numpy as np

k = np.arange(100_000)
for rate, hop, wrong, first in [
    (22050, 512, 7020, 15), (44100, 441, 5975, 35), (48000, 480, 5982, 29), (16000, 160, 590, 201),
]:
    back = librosa.time_to_frames(librosa.frames_to_time(k, sr=rate, hop_length=hop), sr=rate, hop_length=hop)
    off = np.flatnonzero(back != k)
    steps = set((back - k)[off].tolist())
    print(f'{rate} Hz, hop {hop}: {len(off)} of {len(k)} frames come back wrong, first {off[:4]}, by {steps}')
    assert len(off) == wrong and off[0] == first and steps == {-1}
samples = librosa.time_to_samples(librosa.samples_to_time(k, sr=22050), sr=22050)
print('samples at 22050 Hz:', int((samples != k).sum()), 'wrong')
assert (samples != k).sum() == 7020
PY
