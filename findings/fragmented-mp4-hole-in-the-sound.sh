#!/usr/bin/env bash
# Guess:    An mp4 written in fragments (as DASH, CMAF and live recorders do) holds the same times as a plain one.
#           Fragments say where the samples lie, not when they are shown, so sound and picture that went in together
#           come out together.
# Happens:  Without an edit list there is no place to note what the encoders add in front: two reordered pictures (80 ms
#           at 25 fps) and the priming of AAC (21.3 ms). With empty_moov the difference becomes a hole of 2816 samples
#           after the FIRST sound packet: who places every packet by its stamp is in time, who counts samples on from
#           the first stamp (as most readers of sound do) has the sound 58.7 ms EARLY. With cmaf both kinds of reader
#           are off: 18.7 ms early, or 21.3 ms late without B-frames. Unfragmented, or with delay_moov (which writes the
#           edit list), nothing is off.
# Hurts:    Offsets between sight and sound that depend on how a site packed its files, up to a frame and a half.
# Versions: av 18.1.0 (its own FFmpeg), numpy 2.4.6
# Seen:     sound minus picture in ms, by stamps | by counting: plain +0.0 | +0.0, fragments +0.0 | -58.7, fragments
#           without B-frames -0.1 | -0.1, cmaf -18.7 | -18.7, cmaf without B-frames +21.3 | +21.3, fragments with
#           delay_moov +0.0 | +0.0
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
from fractions import Fraction

RATE, FPS = 48000, 25
sound = np.random.default_rng(0).normal(0, 0.001, 4 * RATE).astype(np.float32)
for second in (1, 2, 3):
    sound[second * RATE] = 0.9


def write(path, flags, b_frames):
    "A flash and a click at 1, 2 and 3 s."
    with av.open(path, 'w', options={'movflags': flags} if flags else {}) as c:
        v = c.add_stream('libx264', rate=FPS, width=64, height=48, pix_fmt='yuv420p', options={'bf': str(b_frames)})
        a = c.add_stream('aac', rate=RATE, layout='mono')
        a.codec_context.open()
        packets = []
        for i in range(4 * FPS):
            shade = np.full((48, 64, 3), 255 if i and i % FPS == 0 else 20, np.uint8)
            f = av.VideoFrame.from_ndarray(shade, 'rgb24')
            f.pts, f.time_base = i, Fraction(1, FPS)
            packets += v.encode(f)
        packets += v.encode(None)
        for i in range(0, len(sound), 1024):
            f = av.AudioFrame.from_ndarray(sound[None, i:i + 1024], format='fltp', layout='mono')
            f.sample_rate, f.pts, f.time_base = RATE, i, Fraction(1, RATE)
            packets += a.encode(f)
        packets += a.encode(None)
        for p in sorted(packets, key=lambda p: p.dts * p.time_base):
            c.mux(p)


def sound_minus_picture(path):
    "Mean offsets in ms of clicks from flashes: samples placed by their packets' stamps, and counted from the first."
    with av.open(path) as c:
        shown = [(float(f.pts * f.time_base), f.to_ndarray(format='gray').mean()) for f in c.decode(video=0)]
    flashes = [t for t, light in shown if light > 128]
    with av.open(path) as c:
        heard = [(float(f.pts * f.time_base), f.to_ndarray()[0]) for f in c.decode(audio=0)]
    loud = np.concatenate([np.abs(x) for _, x in heard])
    stamped = np.concatenate([t + np.arange(len(x)) / RATE for t, x in heard])
    counted = heard[0][0] + np.arange(len(loud)) / RATE
    assert len(flashes) == 3, flashes
    at = [[times[np.where(np.abs(times - t) < 0.3, loud, 0).argmax()] for t in flashes] for times in (stamped, counted)]
    return 1000 * np.mean(np.subtract(at, flashes), axis=1)


fragments = 'frag_keyframe+empty_moov'
cases = {
    'plain': ('', 2, 0.0, 0.0),
    'fragments': (fragments, 2, 0.0, -58.7),
    'fragments, no B-frames': (fragments, 0, 0.0, 0.0),
    'cmaf': ('cmaf', 2, -18.7, -18.7),
    'cmaf, no B-frames': ('cmaf', 0, 21.3, 21.3),
    'fragments with delay_moov': (fragments + '+delay_moov', 2, 0.0, 0.0),
}
for name, (flags, b_frames, *expected) in cases.items():
    write('clip.mp4', flags, b_frames)
    got = sound_minus_picture('clip.mp4')
    print(f'{name:26s} sound minus picture: by stamps {got[0]:+6.1f} ms, by counting {got[1]:+6.1f} ms')
    assert np.allclose(got, expected, atol=0.5), (name, got, expected)
PY
