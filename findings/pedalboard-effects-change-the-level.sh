#!/usr/bin/env bash
# Guess:    A Limiter leaves what lies under its threshold alone; Reverb(wet_level=0, dry_level=1) and a Convolution
#           with a unit impulse give back their input.
# Happens:  Limiter() multiplies quiet sound by 4.87 (13.7 dB), and by 1.54 even with threshold 0 dB; a sine of 0.3
#           comes out at 1.0. The dry Reverb doubles its input and goes past 1; wet_level=0 alone gives 0.8 of it.
#           Convolution scales every impulse response to the same energy first: a unit impulse gives 0.125 of the input,
#           and so does one of 0.5: its level means nothing.
# Hurts:    Augmented clips differ from clean ones in loudness before anything else, so a net learns the level.
# Versions: pedalboard 0.9.26, numpy 2.4.6
# Seen:     sine of 0.05: Limiter() 0.2435, Limiter(threshold_db=0) 0.077, Reverb dry 0.100, Reverb(wet_level=0) 0.040,
#           Convolution 0.00625
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q pedalboard==0.9.26 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np
from pedalboard import Convolution, Limiter, Reverb
from pedalboard.io import AudioFile

RATE = 48000


def gain(effect, peak):
    "Peak of a steady sine behind the effect, as a multiple of its peak before."
    sine = (peak * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)).astype(np.float32)
    return round(float(np.abs(effect(sine[None], RATE))[:, RATE:].max()) / peak, 3)


for name, height in (('unit.wav', 1.0), ('half.wav', 0.5)):
    with AudioFile(name, 'w', RATE, 1) as f:
        f.write(np.pad([[height]], ((0, 0), (0, 4799))).astype(np.float32))
cases = [
    ('Limiter()', Limiter(), 0.05, 4.87),
    ('Limiter()', Limiter(), 0.3, 3.333),
    ('Limiter(threshold_db=0)', Limiter(threshold_db=0), 0.05, 1.54),
    ('Reverb(wet_level=0, dry_level=1)', Reverb(wet_level=0, dry_level=1), 0.05, 2.0),
    ('Reverb(wet_level=0)', Reverb(wet_level=0), 0.05, 0.8),
    ('Convolution, unit impulse', Convolution('unit.wav'), 0.05, 0.125),
    ('Convolution, impulse of 0.5', Convolution('half.wav'), 0.05, 0.125),
]
for name, effect, peak, expected in cases:
    got = gain(effect, peak)
    print(f'{name:33s} sine of {peak}: times {got}')
    assert abs(got - expected) < 0.01 * expected, (name, got)
PY
