#!/usr/bin/env bash
# Guess:    decord gives the same waveform of one AAC stream from an mp4 and from Matroska; resampling keeps it in
#           place; and decord2, its successor under the same import name, is a drop-in replacement.
# Happens:  decord 0.6.0 skips the encoder's 1024 samples of priming in mp4 but not in Matroska and WebM (21.3 ms late),
#           and leaves the delay of its resampling filter in (17 samples at 16 kHz, 1.0 ms, in every container). decord2
#           3.4.0 does neither: changing the package moves the sound of a data set by up to 22.4 ms, container by
#           container.
# Hurts:    A set of mixed mp4 and WebM has two offsets between sight and sound; features cached with the one package do
#           not fit pictures read with the other.
# Versions: decord 0.6.0, decord2 3.4.0, av 18.1.0 to write, numpy 2.4.6
# Seen:     clicks late by: mp4 48 kHz 0.0, 16 kHz 1.0 ms | mkv 48 kHz 21.3, 16 kHz 22.4 ms | decord2 and PyAV 0.0 in
#           all
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q av==18.1.0 numpy==2.4.6
venv/bin/pip install -q --no-deps --target old decord==0.6.0
venv/bin/pip install -q --no-deps --target new decord2==3.4.0
venv/bin/python - <<'PY'
import av
import numpy as np
from fractions import Fraction

RATE = 48000
sound = np.random.default_rng(0).normal(0, 0.001, 4 * RATE).astype(np.float32)
for second in (1, 2, 3):
    sound[second * RATE - 16:second * RATE + 17] += 0.9 * np.hanning(33).astype(np.float32)
for name in ('clip.mp4', 'clip.mkv'):
    with av.open(name, 'w') as c:
        a = c.add_stream('aac', rate=RATE, layout='mono')
        for i in range(0, len(sound), 1024):
            f = av.AudioFrame.from_ndarray(sound[None, i:i + 1024], format='fltp', layout='mono')
            f.sample_rate, f.pts, f.time_base = RATE, i, Fraction(1, RATE)
            c.mux(a.encode(f))
        c.mux(a.encode(None))
    with av.open(name) as c:
        x = np.concatenate([f.to_ndarray()[0] for f in c.decode(audio=0)])
    print('PyAV', name, 'click at', x[:2 * RATE - 1000].argmax() / RATE)
    assert abs(int(x[:2 * RATE - 1000].argmax()) - RATE) <= 1
PY
for package in old new; do
PYTHONPATH=$package venv/bin/python - <<'PY'
import decord
import numpy as np

for name, rate, expected in [
    ('clip.mp4', 48000, 0.0), ('clip.mp4', 16000, 1.05), ('clip.mkv', 48000, 21.3), ('clip.mkv', 16000, 22.4),
]:
    x = np.abs(decord.AudioReader(name, sample_rate=rate, mono=True)[:].asnumpy()[0])
    late = [1000 * (x[round((s - 0.3) * rate):round((s + 0.3) * rate)].argmax() / rate - 0.3) for s in (1, 2, 3)]
    print(f'decord {decord.__version__} {name} at {rate} Hz: clicks late by', ' '.join(f'{m:+.1f}' for m in late), 'ms')
    assert np.allclose(late, expected if decord.__version__ == '0.6.0' else 0, atol=0.15), (name, rate, late)
PY
done
