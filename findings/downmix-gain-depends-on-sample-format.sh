#!/usr/bin/env bash
# Guess:    Resampling stereo to mono gives the mean of the channels, mono to stereo two copies; the sample format asked
#           for changes the number type and nothing else.
# Happens:  To an integer format (s16, s32) stereo becomes 0.5 L + 0.5 R; to a float format (flt, fltp) 0.707 L + 0.707
#           R, 3 dB louder, so that equal channels at full scale peak at 1.41. 5.1 differs by 10.7 dB: the centre gets
#           0.29 or 1.0. Mono to stereo is 0.707 in every format: through stereo and back, a mono sound loses 3 dB or
#           nothing.
# Hurts:    The same clip read as s16 and as flt has another level; floats beyond 1 are clipped by whatever comes next.
# Versions: av 18.1.0 (its own FFmpeg), numpy 2.4.6
# Seen:     stereo to mono: s16, s16p, s32 0.5 | flt, fltp 0.707, peak 1.414; mono to stereo 0.707 in all; 5.1 centre to
#           mono 0.293 | 1.0
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

FULL = {'s16': 2 ** 15, 's16p': 2 ** 15, 's32': 2 ** 31, 'flt': 1, 'fltp': 1}


def mixed(planes, layout, to_layout, to_format):
    "Float [C, n] after a change of layout at one rate."
    f = av.AudioFrame.from_ndarray(planes.astype(np.float32), format='fltp', layout=layout)
    f.sample_rate = 48000
    r = av.AudioResampler(format=to_format, layout=to_layout, rate=48000)
    x = np.concatenate([g.to_ndarray() for g in [*r.resample(f), *r.resample(None)]], axis=1) / FULL[to_format]
    return x if to_format.endswith('p') else x.reshape(-1, av.AudioLayout(to_layout).nb_channels).T


noise = np.random.default_rng(0).uniform(-0.1, 0.1, (6, 4096))
gain = lambda y, x: round(float(y @ x / (x @ x)), 3)
for form in FULL:
    left = mixed(noise[:2] * [[1], [0]], 'stereo', 'mono', form)[0]
    spread = mixed(noise[:1], 'mono', 'stereo', form)[0]
    centre = mixed(noise * [[0], [0], [1], [0], [0], [0]], '5.1', 'mono', form)[0]
    got = gain(left, noise[0]), gain(spread, noise[0]), gain(centre, noise[2])
    print(f'{form:5s} left to mono {got[0]:.3f}, mono to stereo {got[1]:.3f}, centre of 5.1 to mono {got[2]:.3f}')
    expected = (0.5, 0.707, 0.293) if form.startswith('s') else (0.707, 0.707, 1.0)
    assert np.allclose(got, expected, atol=0.002), (form, got)
both = mixed(np.repeat(np.sin(np.arange(4096) / 9)[None], 2, 0), 'stereo', 'mono', 'flt')
print('equal channels at full scale, as flt: peak', round(float(both.max()), 3))
assert abs(both.max() - 2 ** 0.5) < 0.01
PY
