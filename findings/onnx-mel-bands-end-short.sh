#!/usr/bin/env bash
# Guess:    ONNX's MelWeightMatrix is the HTK mel bank (2595 log10(1 + f / 700), triangles of height 1), the one that
#           librosa and torchaudio make with htk and no norm, but for rounding to whole bins.
# Happens:  Its bands are laid out with n_mels + 2 steps where n_mels + 1 fit: every band sits too low, the more the
#           higher, and the last ends one step short of the upper edge. 64 bands up to 8 kHz: the last is centred on
#           7.36 kHz instead of 7.67 and nothing above 7.66 kHz is heard; the 33rd is 48 Hz low. Runtime and reference
#           implementation agree: it is in the definition.
# Hurts:    A front end exported with the operator does not compute what the net was trained on; no shape or range
#           tells.
# Versions: onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6
# Seen:     16 kHz, 1024 points: last peak 7359 Hz, by HTK 7672; middle 1766, by HTK 1812; highest bin used 7656, by HTK
#           7984
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

RATE, POINTS, BANDS, LOW, HIGH = 16000, 1024, 64, 0.0, 8000.0


def constant(name, value):
    kind = TensorProto.INT64 if isinstance(value, int) else TensorProto.FLOAT
    return helper.make_node('Constant', [], [name], value=helper.make_tensor(name, kind, [], [value]))


inputs = {'bands': BANDS, 'points': POINTS, 'rate': RATE, 'low': LOW, 'high': HIGH}
nodes = [*(constant(*x) for x in inputs.items()), helper.make_node('MelWeightMatrix', list(inputs), ['weights'])]
graph = helper.make_graph(nodes, 'mel', [], [helper.make_tensor_value_info('weights', TensorProto.FLOAT, None)])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
net = onnxruntime.InferenceSession(model.SerializeToString(), providers=['CPUExecutionProvider'])
by_runtime = net.run(None, {})[0]
by_reference = ReferenceEvaluator(model).run(None, {})[0]
assert np.allclose(by_runtime, by_reference)
hz = np.arange(POINTS // 2 + 1) * RATE / POINTS


def htk_bank(steps):
    "Triangles on n_mels + 2 points, the distance between two of them in mel being that from LOW to HIGH over `steps`."
    mel = lambda f: 2595 * np.log10(1 + f / 700)
    edges = 700 * (10 ** ((mel(LOW) + (mel(HIGH) - mel(LOW)) * np.arange(BANDS + 2) / steps) / 2595) - 1)
    left, peak, right = edges[:-2], edges[1:-1], edges[2:]
    up, down = (hz[:, None] - left) / (peak - left), (right - hz[:, None]) / (right - peak)
    return np.clip(np.minimum(up, down), 0, None)


seen = {}
for name, w in (('onnx', by_runtime), ('htk', htk_bank(BANDS + 1)), (f'htk of {BANDS + 2} steps', htk_bank(BANDS + 2))):
    peaks = hz[w.argmax(axis=0)]
    seen[name] = peaks, float(hz[w.sum(axis=1) > 1e-9].max())
    print(f'{name:15s} last band peaks at {peaks[-1]:.0f} Hz, band 33 at {peaks[32]:.0f} Hz,',
          f'highest bin used {seen[name][1]:.0f} Hz')
(ours, top), (right, right_top), (short, _) = seen.values()
assert np.abs(ours - short).max() <= hz[1] and np.abs(ours - right).max() > 300
assert top < 7660 and right_top > 7980 and np.abs(ours[[-1, 32]] - (7359, 1766)).max() < 1
PY
