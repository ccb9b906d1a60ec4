#!/usr/bin/env bash
# Guess:    In an mp3 file the encoder's delay is taken off the front (a LAME header says how long), so the first sample
#           that comes out is at 0 s, as in m4a and Ogg, and time t by stamps is sample t * rate of soundfile.
# Happens:  The delay's samples are taken off, but the stamps go on counting them: the first sample has the stamp 1105 /
#           rate, 23 ms at 48 kHz, 69 ms at 16 kHz and 138 ms at 8 kHz, and so do all others, also after a seek.
#           stream.start_time, which one might subtract, says the same in the file's own ticks. soundfile counts from 0.
# Hurts:    Labels in seconds against windows cut by stamps: early by the delay, most in low-rate speech; features of
#           one library do not fit those of another.
# Versions: av 18.1.0 (its own FFmpeg), soundfile 0.14.0, numpy 2.4.6
# Seen:     click at 2.000 s, by PyAV: 48 kHz 2.023, 16 kHz 2.069, 8 kHz 2.138, the same after a seek; by soundfile
#           2.000; ogg by PyAV 2.000
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q av==18.1.0 soundfile==0.14.0 numpy==2.4.6
venv/bin/python - <<'PY'
import av
import numpy as np
import soundfile


def click_by_stamps(path, seek=None):
    with av.open(path) as c:
        if seek is not None:
            c.seek(round(seek * 1e6))
        heard = [(float(f.pts * f.time_base), np.abs(f.to_ndarray()[0])) for f in c.decode(audio=0)]
        rate, start = c.streams.audio[0].rate, float(c.streams.audio[0].start_time * c.streams.audio[0].time_base)
    t, x = max(heard, key=lambda h: h[1].max())
    return round(t + x.argmax() / rate, 3), round(start, 3)


for rate in (48000, 16000, 8000):
    click = np.random.default_rng(0).normal(0, 0.001, 3 * rate)
    click[2 * rate - 20:2 * rate + 21] += 0.8 * np.hanning(41)
    soundfile.write('clip.mp3', click, rate)
    soundfile.write('clip.ogg', click, rate)
    read, _ = soundfile.read('clip.mp3')
    by_count = round(np.abs(read).argmax() / rate, 3)
    stamped, start = click_by_stamps('clip.mp3')
    sought, _ = click_by_stamps('clip.mp3', 1.0)
    ogg, _ = click_by_stamps('clip.ogg')
    print(f'{rate} Hz: click by PyAV {stamped}, after a seek {sought}, start_time {start};',
          f'by soundfile {by_count}; ogg by PyAV {ogg}')
    assert len(read) == len(click) and abs(by_count - 2) < 0.002 and abs(ogg - 2) < 0.002
    assert abs(stamped - 2 - 1105 / rate) < 0.002 and abs(sought - stamped) < 0.002 and abs(start - 1105 / rate) < 0.002
PY
