#!/usr/bin/env bash
# Guess:    soundfile clips floats beyond 1, whatever the subtype: it asks libsndfile to.
# Happens:  PCM, FLAC and ALAC are clipped. mu-law, A-law, MS and IMA ADPCM and GSM WRAP: a sine that goes 5 % over
#           (peak 1.05) comes back with its crest turned to -0.46 (mu-law), -0.17 (A-law) and -1.0 (ADPCM, GSM), an
#           error of up to 2.0. Nothing is raised; the peak of what is read back is below 1, so a check of the peak does
#           not see it either.
# Hurts:    "Telephone" augmentation (write as mu-law or GSM, read back) puts loud crackle on every clip that is a
#           little hot.
# Versions: soundfile 0.14.0 with libsndfile 1.2.2, numpy 2.4.6
# Seen:     largest error against the clipped sine: PCM_16 0.000, FLAC 0.000, ULAW 1.457, ALAW 1.168, IMA_ADPCM 2.0,
#           MS_ADPCM 2.0, GSM610 2.0; at peak 0.95: ULAW 0.016, ALAW 0.015, IMA_ADPCM 0.010, MS_ADPCM 0.002, GSM610
#           0.111
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q soundfile==0.14.0 numpy==2.4.6
venv/bin/python - <<'PY'
import io
import numpy as np
import soundfile


def error(peak, form, subtype):
    "Largest difference between what is read back and the sine clipped to [-1, 1]."
    sine = peak * np.sin(2 * np.pi * 100 * np.arange(8000) / 8000)
    f = io.BytesIO()
    soundfile.write(f, sine, 8000, format=form, subtype=subtype)
    f.seek(0)
    back = soundfile.read(f)[0][:8000]
    late = np.abs(back - np.clip(sine, -1, 1))[200:]             # ADPCM has to find its step first
    return float(late.max()), float(np.abs(back).max())


for form, subtype, wraps in [
    ('WAV', 'PCM_16', False), ('FLAC', 'PCM_16', False), ('WAV', 'ULAW', True), ('WAV', 'ALAW', True),
    ('WAV', 'IMA_ADPCM', True), ('WAV', 'MS_ADPCM', True), ('WAV', 'GSM610', True),
]:
    below, above = error(0.95, form, subtype), error(1.05, form, subtype)
    print(f'{form} {subtype}: error at peak 0.95 {below[0]:.3f}, at 1.05 {above[0]:.3f}, peak read back {above[1]:.3f}')
    assert below[0] < 0.35 and above[1] <= 1 and (above[0] > 1 if wraps else above[0] < 1e-3), subtype
PY
