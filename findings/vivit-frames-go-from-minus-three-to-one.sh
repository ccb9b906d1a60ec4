#!/usr/bin/env bash
# Guess:    VivitImageProcessor brings frames to -1..1, as VideoMAEImageProcessor does and as ViViT was trained: its
#           rescale_factor is 1/127.5 with an offset of -1.
# Happens:  It does so, and THEN takes off the mean 0.5 and divides by 0.5, both meant for 0..1: black is -3, middle grey
#           -1, white 1. The defaults of the class do that, without a word.
# Hurts:    Whoever trains or probes with the class's defaults, or mixes it with another processor: each pixel x is 2x - 1
#           of what was meant; black frames and padding are far outside what batch statistics and weights expect.
# Versions: transformers 5.24.0 (without torch), pillow 12.0.0, numpy 2.4.6
# Seen:     black, grey 128, white: VivitImageProcessor -3.000 -0.992 1.000, VideoMAEImageProcessor (mean and std 0.5)
#           -1.000 0.004 1.000; Vivit with offset=False, rescale_factor=1/255: -1.000 0.004 1.000
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q transformers==5.24.0 pillow==12.0.0 numpy==2.4.6
HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error venv/bin/python -W ignore - <<'PY'
import numpy as np
from transformers import VideoMAEImageProcessor, VivitImageProcessor

half = dict(image_mean=[0.5] * 3, image_std=[0.5] * 3)
processors = {
    'Vivit': VivitImageProcessor(), 'VideoMAE': VideoMAEImageProcessor(**half),
    'Vivit, 1/255': VivitImageProcessor(offset=False, rescale_factor=1 / 255),
}
frames = [np.full((240, 320, 3), grey, np.uint8) for grey in (0, 128, 255)]
for name, processor in processors.items():
    values = np.asarray(processor(frames, return_tensors='np')['pixel_values'])
    assert values.shape == (1, 3, 3, 224, 224)
    got = values[0, :, 0, 100, 100]
    print(f'{name}: black, grey, white', *(f'{x:.3f}' for x in got))
    assert np.allclose(got, [-3, -0.992, 1] if name == 'Vivit' else [-1, 0.004, 1], atol=0.01)
PY
