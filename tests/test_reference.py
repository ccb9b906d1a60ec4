"""The authors' network, tensor by tensor and number by number, against stored facts of the released AVID-CMA model."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from avnb.encoders import AVModel, EncoderError, avid_config, avid_views, load_avid_cma

FOLDER = Path(os.environ.get('AVNB_REFERENCE') or Path(__file__).resolve().parents[2] / 'shared' / 'reference')
FACTS = FOLDER / 'avid_cma.json'
pytestmark = pytest.mark.skipif(
    not FACTS.exists(), reason='no avid_cma.json; set AVNB_REFERENCE to the folder that holds it'
)


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
            if name.endswith('running_var'):
                x = 1 + 0.1 * x
            elif name.endswith(('running_mean', 'bias')):
                x = 0.1 * x
            elif t.ndim == 1:
                x = 1 + 0.1 * x
            else:
                x = x * (2 / (t.numel() / shape[0])) ** 0.5 * 1.4142
            t = x.to(t.dtype)
        state[name] = t
    return state


@pytest.fixture(scope='module')
def facts():
    return json.loads(FACTS.read_text())


@pytest.fixture(scope='module')
def checkpoint(facts, tmp_path_factory):
    "A file as the authors write it: names with `module.`, and the states of optimiser and criterion beside."
    path = tmp_path_factory.mktemp('avid') / 'checkpoint.pth.tar'
    torch.save(
        dict(
            epoch=30,
            model={f'module.{k}': v for k, v in weights(facts).items()},
            optimizer=dict(state={}, param_groups=[dict(lr=2e-4)]),
            train_criterion=dict(view1_mem=torch.zeros(4, 128)),
        ),
        path,
    )
    return path


@pytest.fixture(scope='module')
def model(checkpoint):
    return load_avid_cma(checkpoint)


def test_names_shapes_dtypes_and_order(facts, model):
    ours = [[n, list(t.shape), str(t.dtype).removeprefix('torch.')] for n, t in model.state_dict().items()]
    assert ours == [list(x) for x in facts['state_dict']]


def test_outputs(facts, model):
    want, half = facts['outputs'], torch.tensor([1.0, 0.5])
    video = noise(2 * 3 * 8 * 64 * 64, 1001).float().view(2, 3, 8, 64, 64) * half.view(2, 1, 1, 1, 1)
    audio = noise(2 * 200 * 257, 1002).float().view(2, 1, 200, 257) * half.view(2, 1, 1, 1)
    with torch.no_grad():
        out = model(video, audio)
        v, a = model.video_proj(out.video_pooled), model.audio_proj(out.audio_pooled)
    assert (
        list(out.video_map.shape) == want['video_shapes']['conv5x']
        and list(out.audio_map.shape) == want['audio_shapes']['conv5x']
    )
    for ours, key in (
        (out.video_pooled[0, :8], 'video_pool_first8'),
        (out.audio_pooled[0, :8], 'audio_pool_first8'),
        (v, 'video_proj'),
        (a, 'audio_proj'),
        (out.video_pooled.norm(dim=1), 'video_pool_norm'),
        (out.audio_pooled.norm(dim=1), 'audio_pool_norm'),
    ):
        torch.testing.assert_close(ours, torch.tensor(want[key]), atol=1e-4, rtol=1e-4)


def test_saved_again_with_a_side_car(model, tmp_path):
    again = AVModel.from_pretrained(model.save_pretrained(tmp_path, model.config))
    assert again.config == avid_config() and all(
        torch.equal(a, b) for a, b in zip(again.state_dict().values(), model.state_dict().values())
    )


def test_another_network_is_named_tensor_by_tensor(facts, tmp_path):
    state = {f'module.{k}': v for k, v in weights(facts).items()}
    gone, odd = 'module.audio_model.conv1.0.weight', 'module.video_proj.projection.4.weight'
    state['module.extra.weight'] = state.pop(gone)
    state[odd] = state[odd][:64]
    torch.save(dict(model=state), tmp_path / 'x.pth')
    with pytest.raises(EncoderError) as e:
        load_avid_cma(tmp_path / 'x.pth')
    for part in (
        '1 not in the file (audio_model.conv1.0.weight)',
        '1 not in the network (extra.weight)',
        '1 of another shape (video_proj.projection.4.weight [64, 512] instead of [128, 512])',
    ):
        assert part in str(e.value)


@pytest.mark.parametrize('what', [dict(state_dict={}), [torch.zeros(3)], torch.zeros(3), dict(model=torch.zeros(3))])
def test_no_checkpoint_of_theirs(what, tmp_path):
    torch.save(what, tmp_path / 'x.pth')
    with pytest.raises(EncoderError, match="key 'model'"):
        load_avid_cma(tmp_path / 'x.pth')


def test_their_spectrogram(tmp_path):
    """Against their recipe, done slowly with numpy: 1024-point power, pairs of bins averaged, dB with a floor, mean and
    spread per bin."""
    x = torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, (2, 48000)).astype('f'))
    x[1, 20000:] = 0
    mean, std = np.random.default_rng(1).normal(-28, 3, 257), np.random.default_rng(2).uniform(15, 25, 257)
    np.savez(tmp_path / 'stats.npz', mean=mean, std=std)
    got = avid_views(str(tmp_path / 'stats.npz'))[1](x, 0, 0, [0, 1])
    assert got.shape == (2, 1, 200, 257)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    for k in range(2):
        y = np.pad(x[k].double().numpy(), 512, mode='reflect')
        power = np.stack([np.abs(np.fft.rfft(window * y[240 * t : 240 * t + 1024])) ** 2 for t in range(200)])
        power = np.concatenate([power[:, :1], power[:, 1:].reshape(200, 256, 2).mean(2)], 1)
        db = 10 * np.log10(np.maximum(power, 1e-10))
        db = np.maximum(db, db.max() - 100)
        np.testing.assert_allclose(got[k, 0].numpy(), (db - mean) / (std + 1e-5), atol=2e-3)
