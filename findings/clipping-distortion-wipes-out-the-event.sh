#!/usr/bin/env bash
# Guess:    audiomentations' ClippingDistortion overdrives: what is loud is distorted and loses some dB, what is quiet
#           stays. With percentile_threshold 20 it clips the uppermost and lowermost tenth of the range.
# Happens:  The percentile is one of the SAMPLES: 20 clips to what 80 % of all samples keep to. In a clip with one
#           second of sound in ten seconds of quiet that is the level of the quiet: an event 40 dB above the background
#           is 5 dB above it afterwards, and with 40, the top of the default range 0 to 40, 3 dB. Where the background is
#           digital silence the whole clip becomes zeros. In a clip that is loud throughout the same setting takes 2 dB.
# Hurts:    Clips of short events (dog barks, knocks, claps) keep their label and lose
#           the sound; half of the draws of the default do that. Long sounds are spared, so the harm is per class.
# Versions: audiomentations 0.43.1, numpy 2.4.6
# Seen:     event above background: 40.0 dB; threshold 5: 36.2, 10: 9.6, 20: 4.9, 40: 2.7 dB; over zeros with 20: peak 0;
#           noise that lasts all clip, with 20: -1.7 dB
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q audiomentations==0.43.1 numpy==2.4.6
venv/bin/python -W ignore - <<'PY'
import numpy as np
from audiomentations import ClippingDistortion

RATE = 16000
rng = np.random.default_rng(0)


def clip(background):
    "Ten seconds of noise at one level, its sixth second at 0.3."
    levels = np.repeat([background] * 5 + [0.3] + [background] * 4, RATE)
    return np.clip(rng.normal(size=len(levels)) * levels, -1, 1).astype(np.float32)


def distorted(x, percentile):
    t = ClippingDistortion(min_percentile_threshold=percentile, max_percentile_threshold=percentile, p=1.0)
    return t(x.copy(), sample_rate=RATE)


def rms_db(x):
    return 20 * np.log10(np.sqrt(np.mean(x.astype(float) ** 2)))


def above(x):
    "dB of the event above the background."
    return rms_db(x[5 * RATE:6 * RATE]) - rms_db(x[:5 * RATE])


x = clip(0.003)
got = {p: above(distorted(x, p)) for p in (0, 5, 10, 20, 40)}
print('event above background, dB:', ', '.join(f'threshold {p}: {v:.1f}' for p, v in got.items()))
peak = float(np.abs(distorted(clip(0), 20)).max())
loud = clip(0.3)
change = rms_db(distorted(loud, 20)) - rms_db(loud)
print(f'over zeros, threshold 20: peak {peak}; noise that lasts, threshold 20: {change:.1f} dB')
assert abs(got[0] - 40) < 0.5 and got[10] < 12 and got[20] < 6 and got[40] < 4
assert peak == 0 and -3 < change < -1
default = ClippingDistortion()
assert (default.min_percentile_threshold, default.max_percentile_threshold) == (0, 40)
PY
