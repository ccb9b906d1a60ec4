#!/usr/bin/env bash
# Guess:    moviepy's audio.to_soundarray(fps=16000) and pydub's set_frame_rate(16000) filter before they thin out:
#           perhaps crudely, but a 10 kHz tone, which 16 kHz cannot hold, comes out weak.
# Happens:  moviepy takes the nearest sample and pydub draws straight lines between samples; neither has a low-pass. The
#           10 kHz tone becomes a 6 kHz tone at FULL strength, in moviepy and in pydub. moviepy also turns every mono
#           sound into stereo at 0.707 of its level (3 dB down) on the way. soxr leaves nothing of the tone.
# Hurts:    Mel bands of models at 16 kHz hold hiss, cymbals and birds that are not there; levels of mono and stereo
#           clips differ.
# Versions: moviepy 2.2.1, imageio-ffmpeg 0.8.1, pydub 0.25.1, soundfile 0.14.0, soxr 1.1.0, numpy 2.4.6
# Seen:     10 kHz tone of rms 0.354 at 48 kHz, at 16 kHz: pydub 6000 Hz 0.354, moviepy 6000 Hz 0.250 (1 kHz: 0.250),
#           soxr 0.000
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! python3 -c 'import audioop' 2>/dev/null; then extra=audioop-lts==0.2.2; fi
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q moviepy==2.2.1 imageio-ffmpeg==0.8.1 pydub==0.25.1 soundfile==0.14.0 \
    soxr==1.1.0 numpy==2.4.6 ${extra:-}
venv/bin/python -W ignore - <<'PY'
import numpy as np
import soundfile
import soxr
from moviepy import AudioFileClip
from pydub import AudioSegment


def loudest(x):
    "Frequency in Hz and rms of a tone at 16 kHz, its ends left out."
    x = np.asarray(x, float)[1000:-1000]
    return round(np.abs(np.fft.rfft(x * np.hanning(len(x)))).argmax() * 16000 / len(x)), round(float(x.std()), 3)


for pitch, expected in [(1000, {'pydub': (1000, 0.354), 'moviepy': (1000, 0.25), 'soxr': (1000, 0.354)}),
                        (10000, {'pydub': (6000, 0.354), 'moviepy': (6000, 0.25), 'soxr': (None, 0.0)})]:
    tone = 0.5 * np.sin(2 * np.pi * pitch * np.arange(4 * 48000) / 48000)
    soundfile.write('tone.wav', tone, 48000)
    thinned = AudioSegment.from_file('tone.wav').set_frame_rate(16000)
    got = {
        'pydub': loudest(np.array(thinned.get_array_of_samples()) / 32768),
        'moviepy': loudest(AudioFileClip('tone.wav').to_soundarray(fps=16000)[:, 0]),
        'soxr': loudest(soxr.resample(tone, 48000, 16000)),
    }
    print(f'{pitch} Hz:', got)
    for name, (hz, rms) in expected.items():
        assert (hz is None or abs(got[name][0] - hz) < 5) and abs(got[name][1] - rms) < 0.01, (name, got[name])
PY
