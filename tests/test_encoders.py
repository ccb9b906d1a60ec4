"""The encoders with several processes, and what is not a matter of a notebook cell."""

import subprocess
import sys

import pytest
import torch

from avnb.core import TrainConfig, import_torchvision, set_options
from avnb.encoders import (
    AudioEncoder,
    AudioResNet,
    AVModel,
    EncoderError,
    Transformer,
    VideoEncoder,
    VideoResNet,
    encoders,
    export_encoders,
    grid_positions,
    load_backbone,
)

WORKER = """
import sys, torch, torch.distributed as dist
from avnb.encoders import AVModel, encoders
rank, world, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(1)
dist.init_process_group('gloo', init_method=f'file://{out}/meet', rank=rank, world_size=world)
torch.manual_seed(0); model = AVModel(*encoders('tiny', 8), dim=16); g = torch.Generator().manual_seed(1)
video, spec, w = (torch.randn(*s, generator=g) for s in ((8, 3, 4, 32, 32), (8, 1, 32, 32), (8, 16)))
mine = slice(rank * 8 // world, (rank + 1) * 8 // world)
o = model(video[mine], spec[mine], local=False)
((o.video + o.audio) * w[mine]).sum().backward()
grads = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]); dist.all_reduce(grads)
stats = torch.cat([b.flatten().float() for b in model.buffers()])
torch.save(dict(video=o.video.detach(), grads=grads, stats=stats), f'{out}/{rank}.pt')
dist.destroy_process_group()
"""


def run(folder, world):
    folder.mkdir()
    jobs = [subprocess.Popen([sys.executable, '-c', WORKER, str(r), str(world), str(folder)]) for r in range(world)]
    assert [j.wait(120) for j in jobs] == [0] * world
    return [torch.load(folder / f'{r}.pt', weights_only=True) for r in range(world)]


def test_two_processes_compute_what_one_does(tmp_path):
    (one,) = run(tmp_path / 'one', 1)
    two = run(tmp_path / 'two', 2)
    torch.testing.assert_close(torch.cat([r['video'] for r in two]), one['video'], atol=1e-5, rtol=1e-4)
    for r in two:
        torch.testing.assert_close(r['stats'], one['stats'], atol=1e-5, rtol=1e-4)
        assert (r['grads'] - one['grads']).norm() < 1e-4 * one['grads'].norm()
    assert torch.equal(two[0]['stats'], two[1]['stats'])


@pytest.mark.parametrize('T,side,spec', [(2, 33, (50, 40)), (5, 64, (64, 64)), (8, 50, (101, 80))])
@pytest.mark.parametrize('net', ['tiny', 'avid', 'avid_fine', 'vit'])
def test_any_size_above_a_cell(net, T, side, spec):
    model = AVModel(*encoders(net, 8), dim=16).eval()
    with torch.no_grad():
        out = model(torch.randn(1, 3, T, side, side), torch.randn(1, 1, *spec))
    assert out.video_local.shape[2:] == out.video_map.shape[2:] and out.audio_local.shape[2:] == out.audio_map.shape[2:]
    assert torch.isfinite(out.video).all() and torch.isfinite(out.audio).all()


def test_tiny_maps_have_the_promised_cells():
    model = AVModel.from_config(TrainConfig()).eval()
    with torch.no_grad():
        out = model(torch.randn(1, 3, 4, 64, 64), torch.randn(1, 1, 64, 64))
    assert out.video_map.shape[-2:] == (8, 8) and out.audio_map.shape[-1] >= 8


@pytest.mark.parametrize('net', ['tiny', 'avid'])
def test_bfloat16_autocast(net):
    model = AVModel(*encoders(net, 8), dim=16)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        out = model(torch.randn(2, 3, 4, 64, 64), torch.randn(2, 1, 64, 64))
    assert torch.isfinite(out.video.float()).all() and (out.video.float().norm(dim=1) - 1).abs().max() < 0.02


def test_group_norm_does_not_look_at_neighbours():
    for net, x in (
        (VideoEncoder(8, 1, norm='group'), torch.randn(3, 3, 4, 64, 64)),
        (AudioEncoder(8, norm='group'), torch.randn(3, 1, 64, 64)),
    ):
        torch.testing.assert_close(net.train()(x)[:1], net(x[:1]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('name', ['r3d_18', 'mc3_18', 'r2plus1d_18'])
def test_torchvision_video_nets_are_torchvisions(name, tmp_path):
    import_torchvision()
    from torchvision.models import video

    torch.manual_seed(1)
    whole = getattr(video, name)(weights=None).eval()
    for m in whole.modules():  # statistics that are not those of a fresh net
        if isinstance(m, torch.nn.BatchNorm3d):
            m.running_mean.normal_(0, 0.1)
            m.running_var.uniform_(0.5, 2)
    torch.save(whole.state_dict(), tmp_path / 'w.pth')
    ours, x = load_backbone(VideoResNet(name), tmp_path / 'w.pth').eval(), torch.randn(1, 3, 8, 48, 64)
    with torch.no_grad():
        m = ours(x)
        torch.testing.assert_close(whole.fc(m.mean((2, 3, 4))), whole(x), atol=1e-4, rtol=1e-4)
    assert m.shape == (1, 512, max(1, 8 // ours.cell[0]), 3, 4) and m.shape[1] == ours.channels


def test_resnet18_hears(tmp_path):
    import_torchvision()
    from torchvision.models import resnet18

    whole = resnet18(weights=None).eval()
    ours = AudioResNet().eval()
    whole.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    torch.save(whole.state_dict(), tmp_path / 'w.pth')
    load_backbone(ours, tmp_path / 'w.pth')
    x = torch.randn(2, 1, 100, 129)
    with torch.no_grad():
        torch.testing.assert_close(whole.fc(ours(x).mean((2, 3))), whole(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    'net,options',
    [
        ('r3d_18', ['model.width=64']),
        ('mc3_18+avid', ['model.width=64']),
        ('vit', ['model.width=8']),
        ('avid+tiny', ['model.width=8']),
    ],
)
def test_every_name_is_a_model_with_all_outputs(net, options):
    cfg = set_options(TrainConfig(), [f'model.net={net}', 'model.heads=learned', *options])
    model = AVModel.from_config(cfg)
    out = model(torch.randn(2, 3, 4, 64, 64), torch.randn(2, 1, 64, 64))
    assert out.video_local.shape[2:] == out.video_map.shape[2:] and out.video_map.ndim == 5 and out.audio_map.ndim == 4
    for name in ('video', 'audio', 'video_local', 'audio_local'):
        torch.testing.assert_close(v := getattr(out, name).norm(dim=1), torch.ones_like(v))
    sum((t * torch.randn_like(t)).sum() for t in vars(out).values() if t is not None).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize(
    'net,width,hint',
    [('r3d', 64, 'r3d_18'), ('tiny+avod', 8, 'avid'), ('r2plus1d_18', 32, 'width=64'), ('', 8, 'Known')],
)
def test_wrong_names_and_widths_say_what_would_do(net, width, hint):
    with pytest.raises(EncoderError, match=hint):
        encoders(net, width)


def test_transformer_knows_where_its_patches_are():
    net = Transformer(1, (8, 8), 8, 2).eval()
    x = torch.randn(1, 1, 32, 48)
    moved = x.roll(8, 3)
    with torch.no_grad():
        a, b = net(x), net(moved)
    assert (a.roll(1, 3) - b).abs().max() > 1e-3  # without positions these would be equal
    at = grid_positions((5, 6, 7), 60)
    assert torch.equal((at @ at.T).argmax(1), torch.arange(210))
    attention = net.self_attention(x)
    assert attention.shape == (1, 2, 4, 6) and (attention >= 0).all()
    torch.testing.assert_close(attention.sum((2, 3)), torch.ones(1, 2))
    for wrong in (torch.randn(1, 1, 7, 48), torch.randn(1, 3, 32, 48), torch.randn(1, 1, 4, 32, 48)):
        with pytest.raises(EncoderError, match='expected'):
            net(wrong)


def test_transformer_attention_is_what_its_last_block_uses():
    net = Transformer(1, (8, 8), 8, 3).eval()
    x = torch.randn(2, 1, 24, 32)
    last = net.blocks[-1]
    seen = {}
    last.self_attention.register_forward_hook(lambda m, args, out: seen.update(q=args[0]))
    with torch.no_grad():
        net(x)
    att = last.self_attention
    h, C = att.num_heads, att.embed_dim
    with torch.no_grad():
        q, k = (seen['q'] @ att.in_proj_weight[: 2 * C].T + att.in_proj_bias[: 2 * C]).chunk(2, -1)
    q, k = (t.unflatten(2, (h, -1)).transpose(1, 2) for t in (q, k))
    want = (q @ k.mT / (C / h) ** 0.5).softmax(-1).mean(2).view(2, h, 3, 4)
    torch.testing.assert_close(net.self_attention(x), want, atol=1e-6, rtol=1e-5)


def exported(net, width, tmp_path):
    torch.manual_seed(0)
    model = AVModel(*encoders(net, width), dim=16).eval()
    for b in model.buffers():
        if b.is_floating_point() and b.ndim:
            b.add_(torch.rand_like(b) * 0.1)
    export_encoders(model, tmp_path, torch.randn(2, 3, 4, 64, 64), torch.randn(2, 1, 64, 64))
    v, s = torch.randn(3, 3, 4, 64, 64), torch.randn(3, 1, 64, 64)
    with torch.no_grad():
        out = model(v, s)
    for name, x in (('video', v), ('audio', s)):
        got = torch.export.load(tmp_path / f'{name}.pt2').module()(x)
        for a, b in zip(got, (getattr(out, name), getattr(out, f'{name}_pooled'), getattr(out, f'{name}_map'))):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_exported_programs_compute_the_same(tmp_path):
    exported('tiny', 8, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    'net,width', [('avid', 8), ('avid_fine', 8), ('vit', 8), ('r3d_18', 64), ('mc3_18', 64), ('r2plus1d_18', 64)]
)
def test_other_exported_programs_compute_the_same(net, width, tmp_path):
    exported(net, width, tmp_path)


def test_an_export_that_differs_is_not_written(tmp_path, monkeypatch):
    import avnb.encoders as module

    monkeypatch.setattr(module, '_exported', lambda side, x: (b'', 1e-3))
    with pytest.raises(EncoderError, match='differs'):
        export_encoders(
            AVModel(*encoders('tiny', 8)), tmp_path, torch.randn(2, 3, 4, 64, 64), torch.randn(2, 1, 64, 64)
        )
    assert not list(tmp_path.iterdir())
