"Every setting of CMAC-R does something, and with all of them off a step is plain xID."

import pytest
import torch

from avnb.core import TrainConfig, set_options
from avnb.encoders import AVModel
from avnb.memory import MemoryBank
from avnb.nce import xid_loss
from avnb.objective import Objective

ON = ['cmac.alpha=1.0', 'cmac.ramp=0.0']
LATE = 60


def start(*options, seed=0):
    "(config, model, its answer to noise, a bank that has been written), the same for the same options."
    cfg = set_options(TrainConfig(), ['model.width=8', 'model.dim=16', 'view.size=32', *options])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AVModel.from_config(cfg)
        torch.manual_seed(seed + 1)
        video, spec = torch.randn(8, 3, 4, 32, 32), torch.randn(8, 1, 64, 64)
    bank = MemoryBank(40, 16, seed=0)
    bank.update(
        torch.arange(40),
        *(
            torch.nn.functional.normalize(torch.randn(40, 16, generator=torch.Generator().manual_seed(k)), dim=1)
            for k in (1, 2)
        ),
    )
    return cfg, model, model(video, spec), bank


def step(*options, seed=0):
    "(loss, name -> gradient, ...) of one step."
    cfg, model, out, bank = start(*options, seed=seed)
    loss, parts = Objective(cfg, bank, 4)(out, torch.arange(8), LATE)
    loss.backward()
    return loss.detach(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}, parts, out, bank


def test_all_off_is_plain_xid():
    "Bit for bit, gradient too, whatever the settings of what is off."
    for options in (
        [],
        [
            'cmac.video=0.3',
            'cmac.audio=0.0',
            'cmac.distance=l2',
            'cmac.stop_gradient=false',
            'cmac.per_frame=true',
            'cmac.pool_time=false',
            'cmac.ramp=0.9',
            'cmac.tau_m=0.2',
        ],
    ):
        loss, grads, parts, out, bank = step(*options)
        v, a = out.video.detach().requires_grad_(), out.audio.detach().requires_grad_()
        plain = xid_loss(v, a, bank.video, bank.audio, torch.arange(8))
        assert (
            loss.equal(plain) and list(parts) == ['loss', 'xid', 'agreement'] and not any('guide' in n for n in grads)
        )
        assert all(g.equal(step()[1][n]) for n, g in grads.items())


@pytest.mark.parametrize(
    'change',
    [
        'cmac.alpha=0.5',
        'cmac.video=0.0',
        'cmac.audio=0.0',
        'cmac.video=0.5',
        'cmac.distance=l2',
        'cmac.distance=cosine',
        'cmac.tau_m=0.2',
        'cmac.ramp=1.0',
        'cmac.per_frame=true',
        'cmac.pool_time=false',
        'cmac.cell_contrast=0.3',
        'cmac.tied=false',
        'cmac.contrast=R1',
        'cmac.contrast=R2',
        'cmac.contrast=R3',
        'model.heads=learned',
        'model.heads=energy',
        'model.pool=max',
        'model.pool=mean',
        'model.pool=attention',
    ],
)
def test_a_switch_changes_the_loss(change):
    assert abs(float(step(*ON, change)[0] - step(*ON)[0])) > 1e-4


def test_the_map_before_the_last():
    assert (
        abs(float(step(*ON, 'cmac.tied=false', 'cmac.layer=penultimate')[0] - step(*ON, 'cmac.tied=false')[0])) > 1e-4
    )


@pytest.mark.parametrize('heads,own', [('self', 'guide'), ('learned', 'score')])
def test_how_far_the_gradient_goes(heads, own):
    """Stop-gradient and cut-off features change no loss, only who learns; with features cut off the networks' gradient
    is xID's."""
    options = [*ON, f'model.heads={heads}']
    (l, g, *_), (l_free, g_free, *_), (l_cut, g_cut, *_) = (
        step(*options),
        step(*options, 'cmac.stop_gradient=false'),
        step(*options, 'cmac.train_encoders=false'),
    )
    assert l.equal(l_free) and l.equal(l_cut)
    assert not g['video_model.stem.0.weight'].equal(g_free['video_model.stem.0.weight'])
    plain = step(f'model.heads={heads}')[1]
    assert all(torch.allclose(g_cut[n], x, atol=1e-7) for n, x in plain.items())
    assert {n.split('.')[0].split('_')[1] for n in set(g_cut) - set(plain)} == {own}


@pytest.mark.parametrize('heads', ['self', 'learned', 'energy'])
@pytest.mark.parametrize('learns,guides', [('video', 'audio'), ('audio', 'video')])
def test_the_side_that_guides_gets_no_gradient(learns, guides, heads):
    """Of the consistency term alone: everything in the other modality's network stays still, unless the gradient is let
    through."""

    def reached(*options):
        cfg, model, out, bank = start(*ON, f'model.heads={heads}', *options)
        term = Objective(cfg, bank, 4).consistency(out, torch.ones(8), LATE)[f'cmac_{learns}']
        grads = dict(
            zip(dict(model.named_parameters()), torch.autograd.grad(term, [*model.parameters()], allow_unused=True))
        )
        return {n.partition('_')[0] for n, g in grads.items() if g is not None and g.abs().max() > 0}

    assert reached() == {learns} and reached('cmac.stop_gradient=false') == {learns, guides}


def test_r2_and_r3_in_a_batch_ask_the_bank():
    """Early, candidates are the batch; the positive within a modality is the row that the bank had, not the query
    itself."""
    cfg = set_options(TrainConfig(), ['model.dim=16', 'xid.candidates=batch', 'cmac.contrast=R2'])
    v, a, p, q = (
        torch.nn.functional.normalize(torch.randn(n, 16, generator=torch.Generator().manual_seed(n + k)), dim=1)
        for k, n in enumerate((6, 6, 20, 20))
    )
    bank = MemoryBank(20, 16, seed=0)
    bank.update(torch.arange(10), p[:10], q[:10])
    o = Objective(cfg, bank, 2)
    index = torch.tensor([1, 3, 5, 7, 12, 15])
    keys = o.candidates(v, a, index, 0)
    w_v, w_a = o.batch_from_bank(keys, index)
    assert torch.equal(w_v[:4], bank.video[index[:4]]) and torch.equal(w_v[4:], v[4:])
    cross = lambda x, y: torch.nn.functional.cross_entropy(x @ y.T / 0.07, torch.arange(6), reduction='none')
    assert torch.allclose(
        o.contrast(v, a, keys, None, (w_v, w_a)), cross(v, a) + cross(a, v) + cross(v, w_v) + cross(a, w_a), atol=1e-5
    )


def test_maps_of_the_layer_before_with_a_net_that_strides_in_time():
    "The layer before has more frames than the last one: each map takes the middle one of its own."
    from avnb.network import model_maps
    from avnb.runs import new_model

    net = new_model(
        set_options(
            TrainConfig(), ['model.net=avid_fine', 'cmac.tied=false', 'cmac.layer=penultimate', 'cmac.alpha=1.0']
        )
    ).eval()
    g = torch.Generator().manual_seed(0)
    video, spec = torch.rand(2, 3, 8, 64, 64, generator=g), torch.rand(2, 1, 100, 64, generator=g)
    with torch.no_grad():
        out = net(video, spec)
    assert out.video_map.shape[2] < out.video_local.shape[2]
    assert torch.allclose(
        model_maps(net, video, spec)[0]['activation'],
        out.video_map.abs().mean(1)[:, out.video_map.shape[2] // 2],
        atol=1e-5,
    )
