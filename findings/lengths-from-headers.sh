#!/usr/bin/env bash
# Guess:    To filter a folder by duration one need not decode: mutagen and tinytag read it from the header, right to a
#           frame or two.
# Happens:  It depends on a file's history. A WAV that was written to a pipe has 48,696 s (13 hours) instead of 6 for
#           both; a WAV of MS or IMA ADPCM has 0.003 s for mutagen; AAC in ADTS has about 0.2 s for tinytag. None of
#           them raises. soundfile and PyAV give the length of what is decoded in each case.
# Hurts:    "Shorter than 1 s: dropped" and "longer than an hour: dropped" lose whole sources of a set, with a ledger
#           that looks right.
# Versions: mutagen 1.48.1, tinytag 2.3.2, av 18.1.0, soundfile 0.14.0, numpy 2.4.6
# Seen:     piped.wav: mutagen and tinytag 48695.774 | adpcm_ms.wav: mutagen 0.003, tinytag 6.002 | clip.aac: mutagen
#           6.014, tinytag 0.216
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q mutagen==1.48.1 tinytag==2.3.2 av==18.1.0 soundfile==0.14.0 numpy==2.4.6
venv/bin/python - <<'PY'
import av
import mutagen
import numpy as np
import soundfile
from fractions import Fraction
from tinytag import TinyTag

RATE = 44100
noise = np.round(np.random.default_rng(0).normal(0, 3000, 6 * RATE)).astype(np.int16)


class Pipe:
    "A file that can only be written to, as a pipe is."
    def __init__(self, path):
        self.f = open(path, 'wb')

    def write(self, data):
        return self.f.write(data)


def write(target, form, codec):
    with av.open(target, 'w', format=form) as c:
        a = c.add_stream(codec, rate=RATE, layout='mono')
        a.codec_context.open()
        to_format = av.AudioResampler(format=a.codec_context.format.name, layout='mono', rate=RATE)
        step = a.codec_context.frame_size or 1024
        for i in range(0, len(noise), step):
            f = av.AudioFrame.from_ndarray(noise[None, i:i + step], format='s16', layout='mono')
            f.sample_rate, f.pts, f.time_base = RATE, i, Fraction(1, RATE)
            for g in to_format.resample(f):
                c.mux(a.encode(g))
        c.mux(a.encode(None))


pipe = Pipe('piped.wav')
write(pipe, 'wav', 'pcm_s16le')
pipe.f.close()
write('plain.wav', 'wav', 'pcm_s16le')
write('adpcm_ms.wav', 'wav', 'adpcm_ms')
write('adpcm_ima.wav', 'wav', 'adpcm_ima_wav')
write('clip.aac', 'adts', 'aac')
endless = 2 ** 31 / RATE                                         # the length field is all ones
for name, by_mutagen, by_tinytag in [
    ('plain.wav', 6, 6), ('piped.wav', endless, endless), ('adpcm_ms.wav', 0.003, 6), ('adpcm_ima.wav', 0.003, 6),
    ('clip.aac', 6, None),
]:
    with av.open(name) as c:
        decoded = sum(f.samples for f in c.decode(audio=0)) / RATE
    got = mutagen.File(name).info.length, TinyTag.get(name).duration
    print(f'{name:13s} decoded {decoded:.3f} s, mutagen {got[0]:.3f}, tinytag {got[1]:.3f}')
    assert abs(decoded - 6) < 0.1 and (not name.endswith('wav') or abs(soundfile.info(name).duration - 6) < 0.1)
    assert np.isclose(got[0], by_mutagen, rtol=0.02), name
    assert got[1] < 1 if by_tinytag is None else np.isclose(got[1], by_tinytag, rtol=0.02), name
PY
