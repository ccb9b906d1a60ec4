#!/usr/bin/env bash
# Guess:    seek(n), then read: the same samples as reading everything and cutting at n; libsndfile's seek is sample
#           exact, as it is in WAV, FLAC, MP3 and Opus. sf.read(start=...) and librosa.load(offset=...) rest on it.
# Happens:  In Ogg Vorbis every seek into the last page of the file, here its last 6,000 samples, is SHIFTED by 133
#           samples (8 ms), the part of the last block that the file's end cuts off. tell() and the number of samples
#           read are right. And a file object that has read before gives wrong samples for the first few hundred after a
#           seek anywhere (the overlap with the block before is missing): the same call on a fresh object is right.
# Hurts:    The last window of each clip of a set in Ogg (Freesound previews, xeno-canto, ESC-50's first release).
# Versions: soundfile 0.14.0 with libsndfile 1.2.2, numpy 2.4.6
# Seen:     fresh object, seek to 8000: 0 of 3000 wrong, to 90000: 3000 wrong, shift +133; used object, seek to 8000:
#           317 wrong, by up to 0.031. FLAC, MP3 and Opus: 0 wrong in each
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q soundfile==0.14.0 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np
import soundfile

RATE, N = 16000, 96123
walk = np.cumsum(np.random.default_rng(0).normal(size=N))
sound = walk - np.convolve(walk, np.ones(64) / 64, 'same')
sound *= 0.7 / np.abs(sound).max()


def compare(path, start, used):
    "How many of 3000 samples read after a seek are wrong, the largest error, and the shift that explains them."
    whole = soundfile.read(path)[0]
    with soundfile.SoundFile(path) as f:
        if used:
            f.read(3000)
        assert f.seek(start) == start == f.tell()
        part = f.read(3000)
    assert len(part) == 3000
    error = np.abs(part - whole[start:start + 3000])
    at = [k for k in range(start, start + 1000) if np.allclose(whole[k:k + 200], part[600:800], atol=1e-9)]
    return int((error > 1e-6).sum()), round(float(error.max()), 3), at[0] - start - 600


for name, options in [
    ('clip.ogg', dict(subtype='VORBIS')), ('clip.flac', {}), ('clip.mp3', {}),
    ('clip.opus', dict(format='OGG', subtype='OPUS')),
]:
    soundfile.write(name, sound, RATE, **options)
    early, late, again = [compare(name, *x) for x in ((8000, False), (90000, False), (8000, True))]
    print(f'{name}: wrong samples, largest error, shift: fresh, to 8000 {early}; fresh, to 90000 {late};',
          f'used, to 8000 {again}')
    assert early == (0, 0.0, 0), name
    if name == 'clip.ogg':
        assert late[0] == 3000 and late[2] == 133 and 100 < again[0] < 1000 and again[2] == 0
    else:
        assert late == again == early, name
PY
