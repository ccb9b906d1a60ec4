"""The authors' network, tensor by tensor and number by number, against stored facts of the released AVID-CMA model."""
import json, os
from pathlib import Path

import pytest
import torch

from avnb.encoders import AVModel, encoders

FOLDER = Path(os.environ.get('AVNB_REFERENCE') or Path(__file__).resolve().parents[2] / 'shared' / 'reference')
FACTS = FOLDER / 'avid_cma.json'
pytestmark = pytest.mark.skipif(not FACTS.exists(), reason='no avid_cma.json; set AVNB_REFERENCE to the folder that holds it')


def noise(n, k):
    "2 frac(43758.5453 sin(12.9898 (i + 1) + 78.233 k)) - 1 for i = 0..n-1, float64."
    i = torch.arange(1, n + 1, dtype=torch.float64)
    x = 43758.5453 * torch.sin(12.9898 * i + 78.233 * k)
    return 2 * (x - x.floor()) - 1


def weights(facts):
    "The state dict that the stored outputs were computed with."
    state = {}
    for k, (name, shape, dtype) in enumerate(facts['state_dict']):
        t = torch.zeros(shape, dtype=getattr(torch, dtype))
        if t.is_floating_point():
            x = noise(t.numel(), k).reshape(shape)
            if name.endswith('running_var'): x = 1 + 0.1 * x
            elif name.endswith(('running_mean', 'bias')): x = 0.1 * x
            elif t.ndim == 1: x = 1 + 0.1 * x
            else: x = x * (2 / (t.numel() / shape[0])) ** 0.5 * 1.4142
            t = x.to(t.dtype)
        state[name] = t
    return state


@pytest.fixture(scope='module')
def facts(): return json.loads(FACTS.read_text())


@pytest.fixture(scope='module')
def model(facts):
    m = AVModel(*encoders('avid', 64), dim=128, pool='max', heads='none').eval()
    m.load_state_dict(weights(facts))
    return m


def test_names_shapes_dtypes_and_order(facts, model):
    ours = [[n, list(t.shape), str(t.dtype).removeprefix('torch.')] for n, t in model.state_dict().items()]
    assert ours == [list(x) for x in facts['state_dict']]


def test_outputs(facts, model):
    want, half = facts['outputs'], torch.tensor([1.0, 0.5])
    video = noise(2 * 3 * 8 * 64 * 64, 1001).float().view(2, 3, 8, 64, 64) * half.view(2, 1, 1, 1, 1)
    audio = noise(2 * 200 * 257, 1002).float().view(2, 1, 200, 257) * half.view(2, 1, 1, 1)
    with torch.no_grad(): out = model(video, audio); v, a = model.video_proj(out.video_pooled), model.audio_proj(out.audio_pooled)
    assert list(out.video_map.shape) == want['video_shapes']['conv5x'] and list(out.audio_map.shape) == want['audio_shapes']['conv5x']
    for ours, key in ((out.video_pooled[0, :8], 'video_pool_first8'), (out.audio_pooled[0, :8], 'audio_pool_first8'), (v, 'video_proj'), (a, 'audio_proj'),
                      (out.video_pooled.norm(dim=1), 'video_pool_norm'), (out.audio_pooled.norm(dim=1), 'audio_pool_norm')):
        torch.testing.assert_close(ours, torch.tensor(want[key]), atol=1e-4, rtol=1e-4)
