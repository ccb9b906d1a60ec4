"Weights that are saved, given away and read again; and what is not weights is refused."

import json
import pickle
import random

import pytest
import torch

from avnb.core import AvnbError, TrainConfig, set_options
from avnb.encoders import AVModel, EncoderError, VideoResNet, load_avid_cma, load_backbone
from avnb.runs import load_model


def a_model(*options, seed=0):
    cfg = set_options(TrainConfig(), ['model.width=8', 'model.dim=16', *options])
    torch.manual_seed(seed)
    model = AVModel.from_config(cfg)
    for b in model.buffers():
        if b.is_floating_point():
            b.add_(torch.rand_like(b))
    return model.eval(), cfg


def same(a, b):
    return all(
        torch.equal(x, y) and x.dtype == y.dtype
        for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize(
    'options',
    [
        ['model.net=tiny'],
        ['model.net=avid', 'model.heads=learned', 'model.pool=attention'],
        ['model.net=vit+avid_fine', 'model.heads=none'],
    ],
)
def test_round_trip(tmp_path, options):
    model, cfg = a_model(*options, 'soft.lam=0.25')
    folder = model.save_pretrained(tmp_path / 'm', cfg, 'hash', {'linear_video': {'value': 0.5}})
    for path in (folder, str(folder), folder / 'model.safetensors'):
        again = AVModel.from_pretrained(path)
        assert same(model, again) and again.config == cfg and not again.training and again.about['manifest'] == 'hash'
    about = json.loads((folder / 'model.json').read_text())
    assert (
        about['config']['soft']['lam'] == 0.25
        and about['metrics']['linear_video']['value'] == 0.5
        and about['avnb']
        and about['torch']
    )


def test_half_precision_is_read_as_float(tmp_path):
    model, cfg = a_model()
    whole = (model.save_pretrained(tmp_path / 'whole', cfg) / 'model.safetensors').stat().st_size
    folder = model.save_pretrained(tmp_path / 'half', cfg, half=True)
    assert (folder / 'model.safetensors').stat().st_size < 0.65 * whole
    again = AVModel.from_pretrained(folder)
    for a, b in zip(model.state_dict().values(), again.state_dict().values()):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


def test_the_shipped_network():
    model, cfg = load_model()
    assert cfg == model.config and {'config', 'manifest', 'metrics', 'avnb'} <= set(model.about)


def test_a_config_of_another_network_is_not_saved(tmp_path):
    model, cfg = a_model()
    with pytest.raises(EncoderError, match=r'describes another network.*of another shape \(video_proj'):
        model.save_pretrained(tmp_path / 'm', set_options(cfg, ['model.dim=32']))
    assert not (tmp_path / 'm').exists()


def test_tensors_that_differ_are_named(tmp_path):
    model, cfg = a_model()
    folder = model.save_pretrained(tmp_path, cfg)
    side = json.loads((folder / 'model.json').read_text())
    side['config']['model']['heads'] = 'learned'
    (folder / 'model.json').write_text(json.dumps(side))
    with pytest.raises(EncoderError) as e:
        AVModel.from_pretrained(folder)
    assert 'video_score.weight' in str(
        e.value
    ) and '2 not in the network (audio_guide.weight, video_guide.weight)' in str(e.value)


@pytest.mark.parametrize(
    'change',
    [
        lambda s: s.pop('config'),
        lambda s: s['config'].update(modle={}),
        lambda s: s['config']['model'].update(width='8'),
    ],
)
def test_side_car_of_another_kind(tmp_path, change):
    model, cfg = a_model()
    folder = model.save_pretrained(tmp_path, cfg)
    side = json.loads((folder / 'model.json').read_text())
    change(side)
    (folder / 'model.json').write_text(json.dumps(side))
    with pytest.raises(EncoderError, match='model.json does not describe'):
        AVModel.from_pretrained(folder)
    (folder / 'model.json').write_text('{')
    with pytest.raises(EncoderError, match='model.json does not describe'):
        AVModel.from_pretrained(folder)
    (folder / 'model.json').unlink()
    with pytest.raises(EncoderError, match='model.json is not there'):
        AVModel.from_pretrained(folder)


@pytest.mark.parametrize('seed', range(8))
def test_damaged_weights_do_not_load(tmp_path, seed):
    model, cfg = a_model()
    folder = model.save_pretrained(tmp_path, cfg)
    file = folder / 'model.safetensors'
    data, rng = bytearray(file.read_bytes()), random.Random(seed)
    header = int.from_bytes(data[:8], 'little')
    if seed % 3 == 0:
        data = data[: rng.randrange(len(data) - 1)]
    else:
        data[rng.randrange(8 + header) if seed % 3 == 1 else rng.randrange(8 + header, len(data))] ^= 0x80
    file.write_bytes(data)
    with pytest.raises(AvnbError):
        AVModel.from_pretrained(folder)


class Trap:
    "Would write a file if its pickle were trusted."

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, 'w')


@pytest.mark.parametrize(
    'write',
    [
        lambda x, f: torch.save(dict(model=x), f),
        lambda x, f: f.write_bytes(pickle.dumps(x)),
        lambda x, f: f.write_bytes(pickle.dumps(dict(model=x))),
    ],
)
@pytest.mark.parametrize(
    'read', [load_avid_cma, lambda p: load_backbone(torch.nn.Linear(1, 1), p), AVModel.from_pretrained]
)
def test_a_pickle_that_is_not_weights_is_refused_and_not_run(tmp_path, write, read):
    f = tmp_path / 'model.pt'
    write(Trap(tmp_path / 'ran'), f)
    (tmp_path / 'model.json').write_text(json.dumps(dict(config={})))
    with pytest.raises(EncoderError, match='refused'):
        read(f)
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('content', [b'', b'text', bytes(range(256)) * 8])
def test_what_is_no_torch_file(tmp_path, content):
    (tmp_path / 'x.pth').write_bytes(content)
    for path in (tmp_path / 'x.pth', tmp_path / 'none.pth', tmp_path):
        with pytest.raises(EncoderError):
            load_avid_cma(path)
    for path in (tmp_path, tmp_path / 'none', tmp_path / 'x.pth'):
        with pytest.raises(EncoderError):
            AVModel.from_pretrained(path)


def test_a_backbone_must_be_a_dictionary_of_tensors(tmp_path):
    torch.save(torch.zeros(3), tmp_path / 'x.pth')
    with pytest.raises(EncoderError):
        load_backbone(VideoResNet('mc3_18'), tmp_path / 'x.pth')
