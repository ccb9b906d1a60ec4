"""The encoders with several processes, and what is not a matter of a notebook cell."""
import subprocess, sys

import pytest
import torch

from avnb.core import TrainConfig
from avnb.encoders import AVModel, VideoEncoder, AudioEncoder, encoders

WORKER = '''
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
'''


def run(folder, world):
    folder.mkdir()
    jobs = [subprocess.Popen([sys.executable, '-c', WORKER, str(r), str(world), str(folder)]) for r in range(world)]
    assert [j.wait(120) for j in jobs] == [0] * world
    return [torch.load(folder / f'{r}.pt', weights_only=True) for r in range(world)]


def test_two_processes_compute_what_one_does(tmp_path):
    one, = run(tmp_path / 'one', 1)
    two = run(tmp_path / 'two', 2)
    torch.testing.assert_close(torch.cat([r['video'] for r in two]), one['video'], atol=1e-5, rtol=1e-4)
    for r in two:
        torch.testing.assert_close(r['stats'], one['stats'], atol=1e-5, rtol=1e-4)
        assert (r['grads'] - one['grads']).norm() < 1e-4 * one['grads'].norm()
    assert torch.equal(two[0]['stats'], two[1]['stats'])


@pytest.mark.parametrize('T,side,spec', [(2, 33, (50, 40)), (5, 64, (64, 64)), (8, 50, (101, 80))])
@pytest.mark.parametrize('net', ['tiny', 'avid', 'avid_fine'])
def test_any_size_above_a_cell(net, T, side, spec):
    model = AVModel(*encoders(net, 8), dim=16).eval()
    with torch.no_grad(): out = model(torch.randn(1, 3, T, side, side), torch.randn(1, 1, *spec))
    assert out.video_local.shape[2:] == out.video_map.shape[2:] and out.audio_local.shape[2:] == out.audio_map.shape[2:]
    assert torch.isfinite(out.video).all() and torch.isfinite(out.audio).all()


def test_tiny_maps_have_the_promised_cells():
    model = AVModel.from_config(TrainConfig()).eval()
    with torch.no_grad(): out = model(torch.randn(1, 3, 4, 64, 64), torch.randn(1, 1, 64, 64))
    assert out.video_map.shape[-2:] == (8, 8) and out.audio_map.shape[-1] >= 8


@pytest.mark.parametrize('net', ['tiny', 'avid'])
def test_bfloat16_autocast(net):
    model = AVModel(*encoders(net, 8), dim=16)
    with torch.autocast('cpu', dtype=torch.bfloat16): out = model(torch.randn(2, 3, 4, 64, 64), torch.randn(2, 1, 64, 64))
    assert torch.isfinite(out.video.float()).all() and (out.video.float().norm(dim=1) - 1).abs().max() < 0.02


def test_group_norm_does_not_look_at_neighbours():
    for net, x in ((VideoEncoder(8, 1, norm='group'), torch.randn(3, 3, 4, 64, 64)), (AudioEncoder(8, norm='group'), torch.randn(3, 1, 64, 64))):
        torch.testing.assert_close(net.train()(x)[:1], net(x[:1]), atol=1e-5, rtol=1e-4)
