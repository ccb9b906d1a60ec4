#!/usr/bin/env bash
# Guess:    Wav2Vec2FeatureExtractor brings every clip to mean 0 and variance 1 over its own samples, then pads: a clip
#           gives the same input alone and in a batch.
# Happens:  Only with return_attention_mask=True. Without it, which is the default and how models of the wav2vec2-base
#           kind are set, it pads FIRST and normalises over clip and padding: a clip of a quarter of the longest's
#           length comes out TWICE as loud as alone, and its padding is no longer zero where the clip has a mean.
# Hurts:    Embeddings of a clip change with whom it is batched, so with batch size, order and shuffling; a probe learns
#           lengths.
# Versions: transformers 5.24.0 (without torch), numpy 2.4.6
# Seen:     rms of a clip of 1 s alone 1.000; in a batch beside 4 s: 1.992 without the mask, 1.000 with it; padding
#           -0.052 and 0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q transformers==5.24.0 numpy==2.4.6
HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error venv/bin/python -W ignore - <<'PY'
import numpy as np
from transformers import Wav2Vec2FeatureExtractor

rng = np.random.default_rng(0)
short, long = rng.normal(0.01, 0.1, 16000).astype(np.float32), rng.normal(0, 0.3, 64000).astype(np.float32)
for mask, expected in ((None, 2.0), (False, 2.0), (True, 1.0)):
    extract = Wav2Vec2FeatureExtractor(**({} if mask is None else {'return_attention_mask': mask}))
    alone = extract(short, sampling_rate=16000, return_tensors='np')['input_values'][0]
    batch = extract([short, long], sampling_rate=16000, return_tensors='np', padding=True)['input_values'][0]
    got = float(batch[:16000].std())
    print(f'return_attention_mask {mask}: alone {alone.std():.3f}, in a batch {got:.3f}, padding {batch[-1]:.3f}')
    assert abs(alone.std() - 1) < 1e-3 and abs(got - expected) < 0.05 and (batch[-1] == 0) == bool(mask)
PY
