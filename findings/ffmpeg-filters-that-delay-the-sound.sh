#!/usr/bin/env bash
# Guess:    A filter that must look ahead or works in blocks makes up for it, in the samples or in the frames' pts,
#           as loudnorm does with its three seconds: the sound comes out when it went in.
# Happens:  Many do neither. Frames keep the pts and the number of samples that went in, and the sound in them is late:
#           superequalizer by 4095 samples (256 ms at 16 kHz), afftfilt by 3072, surround by 2048, dialoguenhance by
#           1536, apsyclip and adrc by 192; afftdn by 25 ms, anlmdn by 8 ms and alimiter by 5 ms at every rate. What was
#           pushed over the end of the file is lost. atempo=1 goes the other way: the sound is 20 ms early.
# Hurts:    Sight and sound after denoising, limiting or equalising a set of clips; a detector's onsets; mixtures of
#           filtered and unfiltered sound (comb filter).
# Versions: av 18.1.0 (its own FFmpeg), numpy 2.4.6
# Seen:     ms at 16 and 48 kHz: superequalizer 255.9 85.3, afftfilt 192.0 64.0, surround 128.0 42.7, dialoguenhance
#           96.0 32.0, afftdn 25.0 25.0, apsyclip and adrc 12.0 4.0, anlmdn 8.0 8.0, alimiter 4.9 5.0, atempo=1 -18.1
#           -19.8; dynaudnorm, acompressor, highpass 0.0 0.0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q av==18.1.0 numpy==2.4.6
venv/bin/python - <<'PY'
from fractions import Fraction

import av
import numpy as np

BURST = np.random.default_rng(0).normal(size=400).astype(np.float32) * 0.3


def pulled(graph):
    "The frames that the graph has ready."
    while True:
        try:
            yield graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def filtered(sound, rate, name, args):
    "The frames that come out of one filter."
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate, format='fltp', layout='mono', time_base=Fraction(1, rate))
    middle, sink = graph.add(name, args), graph.add('abuffersink')
    source.link_to(middle)
    middle.link_to(sink)
    graph.configure()
    out = []
    for i in range(0, len(sound), 1024):
        f = av.AudioFrame.from_ndarray(sound[None, i:i + 1024].copy(), 'fltp', 'mono')
        f.sample_rate, f.pts, f.time_base = rate, i, Fraction(1, rate)
        graph.push(f)
        out += pulled(graph)
    graph.push(None)
    return out + [*pulled(graph)]


def delay(rate, name, args):
    "How many ms after its pts the burst comes, the first pts, and by how many samples the length has changed."
    sound = np.zeros(3 * rate, np.float32)
    sound[rate:rate + len(BURST)] = BURST
    frames = filtered(sound, rate, name, args)
    y = np.concatenate([f.to_ndarray().reshape(-1, f.samples)[0] for f in frames])
    assert all(a.pts + a.samples == b.pts for a, b in zip(frames, frames[1:])) and frames[0].sample_rate == rate
    at = int(np.abs(np.correlate(y, BURST, 'valid')).argmax()) + frames[0].pts
    return 1000 * (at - rate) / rate, frames[0].pts, len(y) - len(sound)


expected = {
    'superequalizer': (255.9, 85.3), 'afftfilt': (192.0, 64.0), 'surround': (128.0, 42.7),
    'dialoguenhance': (96.0, 32.0), 'afftdn': (25.0, 25.0), 'apsyclip': (12.0, 4.0), 'adrc': (12.0, 4.0),
    'anlmdn': (8.0, 8.0), 'alimiter': (4.9, 5.0), 'atempo': (-18.1, -19.8), 'dynaudnorm': (0, 0),
    'acompressor': (0, 0), 'highpass': (0, 0), 'anull': (0, 0),
}
for name, want in expected.items():
    got = [delay(rate, name, '1.0' if name == 'atempo' else '') for rate in (16000, 48000)]
    print(f'{name:15s} ms late at 16 and 48 kHz: {got[0][0]:6.1f} {got[1][0]:6.1f}',
          f'first pts {got[0][1]}, samples {got[0][2]:+d} {got[1][2]:+d}')
    assert np.allclose([g[0] for g in got], want, atol=0.2), name
    assert all(g[1] == 0 for g in got) and (name == 'atempo' or got[0][2] == got[1][2] == 0), name
PY
