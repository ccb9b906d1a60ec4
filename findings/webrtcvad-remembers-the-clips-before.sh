#!/usr/bin/env bash
# Guess:    Vad.is_speech(frame, rate) judges the frame that it is given: one Vad object serves a whole data set.
# Happens:  The object adapts to everything that it has ever heard, across clips: there is no reset but a new object.
#           After 5 s of loud noise from another clip, mode 2 finds 3 of 66 frames of speech where a new object
#           finds 37; after a loud voice 46. In mode 3 even the same clip a second time goes from 3 to 0.
# Hurts:    Filters "without speech" or "with speech" over a set: the decision on a clip depends on the order of the
#           list, on the number of workers and on the shuffling.
# Versions: webrtcvad-wheels 2.0.14.post1, numpy 2.4.6
# Seen:     frames with speech of 66: mode 2: new object 37, after noise 3, after a loud voice 46, the clip again 46;
#           mode 3: 3, 3, 0, 0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q webrtcvad-wheels==2.0.14.post1 numpy==2.4.6 setuptools==80.9.0
venv/bin/python -W ignore - <<'PY'
import numpy as np
import webrtcvad

RATE, FRAME = 16000, 480


def voice(level, seed):
    "Two seconds of harmonics of 120 Hz around 600 Hz, three bursts a second, over weak noise."
    t = np.arange(2 * RATE) / RATE
    weights = {k: np.exp(-((120 * k - 600) / 500) ** 2) / k for k in range(1, 25)}
    tone = sum(w * np.sin(2 * np.pi * 120 * k * t + k) for k, w in weights.items())
    x = level * tone * (np.sin(2 * np.pi * 3 * t) > 0) + np.random.default_rng(seed).normal(size=len(t)) * 20
    return np.clip(x, -32768, 32767).astype(np.int16)


def speech(vad, x):
    "How many frames of 30 ms are speech."
    return sum(vad.is_speech(x[i:i + FRAME].tobytes(), RATE) for i in range(0, len(x) - FRAME + 1, FRAME))


clip = voice(300, 1)
noise = (np.random.default_rng(0).normal(size=5 * RATE) * 3000).astype(np.int16)
before = {'new object': None, 'after noise': noise, 'after a loud voice': voice(8000, 2), 'the clip again': clip}
for mode in (2, 3):
    seen = {}
    for name, other in before.items():
        vad = webrtcvad.Vad(mode)
        if other is not None:
            speech(vad, other)
        seen[name] = speech(vad, clip)
    print('mode', mode, seen, 'of', len(range(0, len(clip) - FRAME + 1, FRAME)))
    if mode == 2:
        assert seen == {'new object': 37, 'after noise': 3, 'after a loud voice': 46, 'the clip again': 46}
    else:
        assert seen['new object'] == 3 and seen['the clip again'] == 0
PY
