"""memory, nce and attention on random shapes and values:
against plain float64 references, and under changes that must not matter."""

import math
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st

from avnb.attention import (
    AttentionError,
    attention_maps,
    cell_contrast_loss,
    consistency_loss,
    energy_scores,
    guided_maps,
    map_stats,
    places,
    ramp,
    within_modal_xid,
)
from avnb.memory import BankError, MemoryBank
from avnb.nce import (
    ESTIMATORS,
    NceError,
    debiased_loss,
    group_mask,
    mix_targets,
    oracle_targets,
    oracle_weights,
    positive_weights,
    rince_loss,
    sample_candidates,
    shuffle_weights,
    soft_targets,
    target_stats,
    uniform_targets,
    xid_loss,
    xid_loss_chunked,
)

quick = settings(max_examples=40, deadline=None, derandomize=True)


def unit(g, *shape):
    return F.normalize(torch.randn(*shape, generator=g, dtype=torch.float64), dim=-1)


@st.composite
def problems(draw, masks=True, weighted=True):
    """A random problem: arguments of xid_loss in float64, with shared or per-query candidates, repeated indices, masks,
    weights."""
    g = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    B, N, D = draw(st.integers(1, 7)), draw(st.integers(2, 12)), draw(st.integers(2, 9))
    bars = [unit(g, *((B, N, D) if draw(st.booleans()) else (N, D)))]
    bars.append(unit(g, *bars[0].shape))
    index = torch.randint(0, N, (B,), generator=g)
    p = dict(
        v=unit(g, B, D),
        a=unit(g, B, D),
        v_bar=bars[0],
        a_bar=bars[1],
        index=index,
        tau=draw(st.sampled_from([0.02, 0.07, 0.5, 2.0])),
    )
    if masks and draw(st.booleans()):
        p['mask'] = (torch.rand(B, N, generator=g) < 0.6).scatter(1, index[:, None], True)
    elif masks and draw(st.booleans()):
        p['mask'] = (torch.rand(N, generator=g) < 0.6).scatter(0, index, True)
    if weighted and draw(st.booleans()):
        p['weights'] = torch.rand(B, generator=g, dtype=torch.float64) * (torch.rand(B, generator=g) < 0.8)
    return p


def reference(v, a, v_bar, a_bar, index, tau, targets=None, weights=None, mask=None):
    "l(i) and the loss, row by row over the usable candidates only."
    B, N = len(v), v_bar.shape[-2]
    l = torch.zeros(B, dtype=torch.float64)
    for i in range(B):
        use = [j for j in range(N) if mask is None or (mask if mask.ndim == 1 else mask[i])[j]]
        for d, (q, keys) in enumerate(((v[i], a_bar), (a[i], v_bar))):
            s = torch.stack([(keys if keys.ndim == 2 else keys[i])[j] @ q for j in use]) / tau
            logp = s - s.max() - (s - s.max()).exp().sum().log()
            l[i] -= sum(
                (float(j == index[i]) if targets is None else targets[d][i, j]) * logp[k] for k, j in enumerate(use)
            )
    w = torch.ones(B, dtype=torch.float64) if weights is None else weights
    return l, (w @ l / w.sum() if w.sum() > 0 else torch.zeros(()).double())


def single(p):
    return {k: x.float() if isinstance(x, torch.Tensor) and x.is_floating_point() else x for k, x in p.items()}


@quick
@given(problems(), st.sampled_from([None, *ESTIMATORS]), st.floats(0, 1), st.booleans())
def test_loss_is_the_reference(p, estimator, lam, live):
    if estimator:
        known = {k: x for k, x in p.items() if k in ('v', 'a', 'v_bar', 'a_bar', 'index', 'mask')}
        S = soft_targets(estimator, **known, target_features='live' if live else 'memory')
        p['targets'] = mix_targets(S, p['index'], lam)
        for T in (*S, *p['targets']):
            assert torch.allclose(T.sum(1), torch.ones(len(T)).double()) and (T >= 0).all()
            assert 'mask' not in p or not (T * ~p['mask']).any()
    l, loss = reference(**p)
    assert torch.allclose(xid_loss(**p, reduction='none'), l, atol=1e-9)
    assert torch.allclose(xid_loss(**p), loss, atol=1e-9)
    if p['tau'] >= 0.07:
        p['targets'] = p.get('targets') and tuple(T.float() for T in p['targets'])
        assert abs(float(xid_loss(**single(p))) - float(loss)) < 1e-4 * (1 + abs(float(loss)))


@quick
@given(problems(), st.integers(0, 10**6))
def test_order_does_not_matter(p, seed):
    g = torch.Generator().manual_seed(seed)
    b, n = torch.randperm(len(p['v']), generator=g), torch.randperm(p['v_bar'].shape[-2], generator=g)
    shuffled = dict(p, v=p['v'][b], a=p['a'][b], index=n.argsort()[p['index'][b]])
    for k in ('v_bar', 'a_bar'):
        shuffled[k] = p[k][n] if p[k].ndim == 2 else p[k][b][:, n]
    if 'mask' in p:
        shuffled['mask'] = p['mask'][n] if p['mask'].ndim == 1 else p['mask'][b][:, n]
    if 'weights' in p:
        shuffled['weights'] = p['weights'][b]
    for f in (xid_loss, rince_loss, debiased_loss, within_modal_xid):
        assert torch.allclose(f(**p), f(**shuffled), rtol=1e-8, atol=1e-9)


@quick
@given(problems(), st.sampled_from(['R0', 'R1', 'R2', 'R3']))
def test_masked_candidates_might_as_well_not_exist(p, reading):
    if 'mask' not in p:
        return
    moved = {}
    for k in ('v_bar', 'a_bar'):
        moved[k] = p[k].clone().expand(len(p['v']), *p[k].shape[-2:]).clone()
    m = p['mask'].expand(len(p['v']), p['v_bar'].shape[-2])
    for k in moved:
        moved[k][~m] = -moved[k][~m]  # any other row there gives the same loss and the same gradient
    q = p['v'].clone().requires_grad_()
    one, two = (within_modal_xid(**{**p, 'v': q, **x}, reading=reading) for x in ({}, moved))
    assert torch.allclose(one, two) and torch.allclose(*(torch.autograd.grad(x, q)[0] for x in (one, two)))


@quick
@given(
    problems(),
    st.sampled_from([None, *ESTIMATORS]),
    st.floats(0.01, 1),
    st.integers(1, 14),
    st.booleans(),
    st.booleans(),
)
def test_chunked_is_dense(p, estimator, lam, chunk, exclude_self, live):
    if p['v_bar'].ndim == 3:
        p['v_bar'], p['a_bar'] = p['v_bar'][0], p['a_bar'][0]
    soft = dict(exclude_self=exclude_self, target_features='live' if live else 'memory', tau_s=0.1)

    def dense(v, a):
        T = None
        if estimator:
            S = soft_targets(estimator, v, a, p['v_bar'], p['a_bar'], p['index'], mask=p.get('mask'), **soft)
            T = mix_targets(S, p['index'], lam)
        return xid_loss(**{**p, 'v': v, 'a': a}, targets=T)

    def chunked(v, a):
        return xid_loss_chunked(
            **{**p, 'v': v, 'a': a}, estimator=estimator, lam=lam if estimator else 0.0, chunk=chunk, **soft
        )

    alone = 'mask' in p and bool((p['mask'].sum(-1) < 2).any())
    if alone and exclude_self and estimator:
        for f in (dense, chunked):
            with pytest.raises(NceError, match='exclude_self'):
                f(p['v'], p['a'])
        return
    q = [p[k].clone().requires_grad_() for k in 'va']
    one, two = dense(*q), chunked(*q)
    assert torch.allclose(one, two, atol=1e-10)
    assert all(
        torch.allclose(x, y, atol=1e-9) for x, y in zip(torch.autograd.grad(one, q), torch.autograd.grad(two, q))
    )


def test_chunked_keeps_its_digits_in_float32():
    """Value and gradient within 1e-5 of dense float64 on a bank of 20,000 rows with a common direction, as trained
    embeddings have one."""
    g = torch.Generator().manual_seed(0)
    N, B, D = 20_000, 64, 128
    one = unit(g, 1, D)
    rows = lambda n: F.normalize(unit(g, n, D) + 0.5 * one, dim=-1)
    p = dict(v=rows(B), a=rows(B), v_bar=rows(N), a_bar=rows(N), index=torch.randperm(N, generator=g)[:B])
    for estimator in ESTIMATORS:
        q, single_q = p['v'].clone().requires_grad_(), p['v'].float().requires_grad_()
        want = xid_loss(**{**p, 'v': q}, targets=mix_targets(soft_targets(estimator, **p), p['index'], 0.5))
        got = xid_loss_chunked(**{**single(p), 'v': single_q}, estimator=estimator, lam=0.5)
        assert abs(got.item() - want.item()) < 1e-5, estimator
        assert (torch.autograd.grad(got, single_q)[0] - torch.autograd.grad(want, q)[0]).norm() < 1e-5, estimator


@quick
@given(problems(), st.booleans())
def test_r1_without_its_sum_within_is_xid(p, soft):
    """Denominator of R1 minus the sum over the own modality is xID's, so l = l_R1 - log Z_R1 + log Z_cross, for any
    targets."""
    if soft:
        S = uniform_targets(p['index'], p['v_bar'].shape[-2], p.get('mask'))
        p['targets'] = [F.normalize(T.double(), p=1, dim=1) for T in mix_targets(S, p['index'], 0.3)]
    n, index = p['v_bar'].shape[-2], p['index']
    r1, plain = (within_modal_xid(**p, reading=r, reduction='none') for r in ('R1', 'R0'))
    usable = p.get('mask', torch.ones(n, dtype=torch.bool)).expand(len(index), n)
    inside = usable & (torch.arange(n) != index[:, None])
    log_z = lambda q, keys, keep: (
        (torch.einsum('bd,bnd->bn', q, keys.expand(len(q), *keys.shape[-2:])) / p['tau'])
        .masked_fill(~keep, -math.inf)
        .logsumexp(1)
    )
    for q, cross, own in ((p['v'], p['a_bar'], p['v_bar']), (p['a'], p['v_bar'], p['a_bar'])):
        z = log_z(q, cross, usable)
        r1 = r1 - torch.logaddexp(z, log_z(q, own, inside)) + z
    assert torch.allclose(r1, plain, rtol=1e-9, atol=1e-9)
    lift = lambda x, h: torch.cat(
        [x * (1 - h * h) ** 0.5, torch.full_like(x[..., :1], h)], -1
    )  # one more axis, on which the keys within are so far
    high = {
        **p,
        **{k: lift(p[k], 0.6) for k in ('v', 'a')},
        **{k: lift(p[k], 0.0) for k in ('v_bar', 'a_bar')},
    }  # away that each exp is 0
    far = (lift(p['v_bar'] * 0, 0.0) - torch.tensor([0.0] * p['v'].shape[1] + [1e6]),) * 2
    assert torch.allclose(
        within_modal_xid(**high, reading='R1', within=far, validate=False), xid_loss(**high), rtol=1e-13, atol=1e-13
    )


@quick
@given(problems(weighted=False))
def test_switched_off_is_xid(p):
    plain = xid_loss(**p)
    scores = (p['v'] * p['a']).sum(1)
    assert torch.allclose(xid_loss(**p, weights=positive_weights(scores, delta=-1e6)), plain)
    S = uniform_targets(p['index'], p['v_bar'].shape[-2], p.get('mask'))
    assert torch.equal(xid_loss(**p, targets=mix_targets(S, p['index'], 0.0)), plain)
    assert torch.equal(within_modal_xid(**p, reading='R0'), plain) and torch.allclose(
        debiased_loss(**p, tau_plus=0.0), plain, atol=1e-9
    )
    own_class = oracle_targets(
        torch.arange(p['v_bar'].shape[-2]), p['index'], p.get('mask')
    )  # everyone a class of his own
    assert torch.equal(xid_loss(**p, targets=own_class), plain)


@quick
@given(
    st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=40),
    st.floats(-3, 3),
    st.floats(0.01, 4),
    st.floats(0, 1),
    st.sampled_from(['affine', 'clip']),
)
def test_weights(scores, delta, kappa, w_min, floor):
    x = torch.tensor(scores, dtype=torch.float64)
    w = positive_weights(x, delta, kappa, w_min, floor=floor)
    assert ((w >= w_min - 1e-12) & (w <= 1)).all() and not w.requires_grad
    order = x.argsort()
    assert (w[order].diff() >= -1e-12).all()  # a better score never weighs less
    mean = sum(scores) / len(scores)
    var = sum((s - mean) ** 2 for s in scores) / len(scores)
    if var > 1e-9:
        for s, got in zip(scores, w.tolist()):
            phi = 0.5 * math.erfc(-(s - mean - delta * var**0.5) / (kappa * var) ** 0.5 / 2**0.5)
            assert abs(got - (w_min + (1 - w_min) * phi if floor == 'affine' else max(w_min, phi))) < 1e-6
    if len(set(scores)) == 1:
        assert (w == 1).all()


@quick
@given(st.integers(1, 60), st.integers(0, 10**6), st.integers(0, 99), st.data())
def test_sampled_candidates(n, seed, step, data):
    k = data.draw(st.integers(0, n - 1))
    index = torch.tensor(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=6)))
    c = sample_candidates(n, index, k, seed, step)
    assert c.shape == (len(index), 1 + k) and torch.equal(c[:, 0], index) and int(c.min()) >= 0 and int(c.max()) < n
    assert all(len(set(r)) == 1 + k for r in c.tolist())
    assert torch.equal(c[-1:], sample_candidates(n, index[-1:], k, seed, step))  # the company does not matter


@quick
@given(
    st.integers(1, 8),
    st.lists(st.integers(0, 7), min_size=1, max_size=12),
    st.floats(0, 0.99),
    st.sampled_from(['ema', 'copy']),
    st.integers(0, 99),
)
def test_bank_last_write_wins(extra, index, m, first, seed):
    g, n = torch.Generator().manual_seed(seed), 7 + extra
    bank, v, a = MemoryBank(n, 5, m, seed, first), unit(g, len(index), 5), unit(g, len(index), 5)
    before = bank.video.double().clone()
    bank.update(torch.tensor(index), v, a)
    for i in range(n):
        hits = [k for k, j in enumerate(index) if j == i]
        keep = m if first == 'ema' else 0.0
        want = F.normalize(keep * before[i] + (1 - m) * v[hits[-1]], dim=0) if hits else before[i]
        assert torch.allclose(bank.video[i].double(), want, atol=1e-5) and bool(bank.written[i]) == bool(hits)


@quick
@given(
    st.integers(1, 5), st.integers(1, 9), st.integers(2, 6), st.integers(0, 10**6), st.sampled_from([0.05, 0.1, 1.0])
)
def test_attention(B, P, D, seed, tau):
    g = torch.Generator().manual_seed(seed)
    x, q, other = unit(g, B, P, D), unit(g, B, D), unit(g, B, D)
    s, m = attention_maps(x, q, tau)
    t, target = attention_maps(x, other, tau)
    assert torch.allclose(s, (x @ q[:, :, None])[..., 0]) and torch.allclose(m.sum(-1), torch.ones(B).double())
    assert torch.allclose(
        consistency_loss(s, t, tau_m=tau, reduction='none'), (target * (target / m).log()).sum(-1), atol=1e-8
    )
    for d in ('kl', 'l2', 'cosine'):
        assert float(consistency_loss(s, t, d, tau)) >= -1e-9 and abs(float(consistency_loss(s, s, d, tau))) < 1e-9
    w = torch.rand(B, generator=g).double() + 0.1
    p = torch.randperm(B, generator=g)
    assert torch.allclose(consistency_loss(s, t, weights=w), consistency_loss(s[p], t[p], weights=w[p]))


def good():
    g = torch.Generator().manual_seed(0)
    return dict(
        v=unit(g, 3, 4), a=unit(g, 3, 4), v_bar=unit(g, 6, 4), a_bar=unit(g, 6, 4), index=torch.tensor([5, 0, 2])
    )


def wrong(**change):
    return {**good(), **change}


nan = good()['a_bar'].index_fill(0, torch.tensor([1]), float('nan'))
on = torch.ones(6, dtype=torch.bool)
OWN, SS = good()['index'], (torch.eye(6)[good()['index']],) * 2
CELLS = unit(torch.Generator().manual_seed(1), 3, 2, 4)


@pytest.mark.parametrize(
    'name, args',
    [
        ('v', wrong(v=good()['v'][0])),
        ('v', wrong(v=good()['v'] * 1.002)),
        ('v', wrong(v=good()['v'][:0], a=good()['a'][:0])),
        ('a', wrong(a=good()['a'][:2])),
        ('v_bar', wrong(v_bar=good()['v_bar'][:, :3])),
        ('a_bar', wrong(a_bar=good()['a_bar'][:5])),
        ('a_bar', wrong(a_bar=nan)),
        ('index', wrong(index=torch.tensor([6, 0, 2]))),
        ('index', wrong(index=torch.tensor([-1, 0, 2]))),
        ('index', wrong(index=torch.tensor([5.0, 0, 2]))),
        ('index', wrong(index=torch.tensor([5, 0]))),
        ('tau', wrong(tau=0.0)),
        ('tau', wrong(tau=math.nan)),
        ('tau', wrong(tau=1e-39)),
        ('mask', wrong(mask=~on)),
        ('mask', wrong(mask=on.float())),
        ('mask', wrong(mask=on[:5])),
        ('mask', wrong(mask=on & (torch.arange(6) != 5))),
        ('weights', wrong(weights=torch.ones(2))),
        ('weights', wrong(weights=-torch.ones(3))),
        ('weights', wrong(weights=torch.full((3,), math.nan))),
    ],
)
def test_bad_input_names_the_argument(name, args):
    for f in (xid_loss, xid_loss_chunked, within_modal_xid, rince_loss, debiased_loss):
        with pytest.raises(NceError, match=rf'^{name}: expected .*, got '):
            f(**args)
    if 'weights' not in args and 'tau' not in args:
        with pytest.raises(NceError, match=rf'^{name}: expected'):
            soft_targets('cycle', **args)


@pytest.mark.parametrize(
    'name, call',
    [
        ('reduction', lambda: xid_loss(**good(), reduction='sum')),
        ('T_v', lambda: xid_loss(**good(), targets=(torch.eye(3), torch.eye(3)))),
        ('T_a', lambda: xid_loss(**good(), targets=(torch.eye(6)[:3], torch.eye(6)[:3] * 2))),
        (
            'T_v',
            lambda: xid_loss(
                **good(),
                mask=on & (torch.arange(6) != 1),
                targets=(torch.full((3, 6), 1 / 6), torch.full((3, 6), 1 / 6)),
            ),
        ),
        ('targets', lambda: xid_loss(**good(), targets=torch.eye(6)[:3])),
        ('lam', lambda: mix_targets((torch.eye(6)[:3],) * 2, good()['index'], 1.1)),
        ('lam', lambda: xid_loss_chunked(**good(), estimator='cycle', lam=-0.1)),
        ('estimator', lambda: soft_targets('none', **good())),
        ('estimator', lambda: xid_loss_chunked(**good(), lam=0.5)),
        ('chunk', lambda: xid_loss_chunked(**good(), chunk=0)),
        ('tau', lambda: xid_loss_chunked(**good(), tau=torch.tensor(0.1, requires_grad=True))),
        (
            'v_bar',
            lambda: xid_loss_chunked(
                **wrong(v_bar=good()['v_bar'].expand(3, 6, 4), a_bar=good()['a_bar'].expand(3, 6, 4))
            ),
        ),
        ('v_bar, a_bar', lambda: xid_loss_chunked(**wrong(v_bar=good()['v_bar'].requires_grad_()))),
        (
            'exclude_self',
            lambda: soft_targets(
                'cycle',
                exclude_self=True,
                **wrong(v_bar=good()['v_bar'][:1], a_bar=good()['a_bar'][:1], index=torch.zeros(3).long()),
            ),
        ),
        ('tau_s', lambda: soft_targets('cycle', **good(), tau_s=0)),
        ('tau_t', lambda: soft_targets('cycle', **good(), tau_t=1e-39)),
        ('target_features', lambda: soft_targets('cycle', **good(), target_features='bank')),
        ('kappa', lambda: positive_weights(torch.rand(3), kappa=0)),
        ('w_min', lambda: positive_weights(torch.rand(3), w_min=1.1)),
        ('scores', lambda: positive_weights(torch.rand(0))),
        ('scores', lambda: positive_weights(torch.tensor([math.nan]))),
        ('var', lambda: positive_weights(torch.rand(3), var=-1.0)),
        ('k', lambda: sample_candidates(6, good()['index'], 6, 0, 0)),
        ('index', lambda: sample_candidates(5, good()['index'], 2, 0, 0)),
        ('rince_q', lambda: rince_loss(**good(), rince_q=0)),
        ('rince_lam', lambda: rince_loss(**good(), rince_lam=0)),
        ('tau_plus', lambda: debiased_loss(**good(), tau_plus=1.0)),
        ('tau', lambda: xid_loss(**good(), tau=None)),
        ('tau', lambda: xid_loss(**good(), tau=math.inf)),
        ('lam', lambda: mix_targets(SS, OWN, 'x')),
        ('lam', lambda: mix_targets(SS, OWN, '0.5')),
        ('mean', lambda: positive_weights(torch.rand(3), mean='x')),
        ('index', lambda: mix_targets(SS, OWN.tolist(), 0.5)),
        ('index', lambda: mix_targets(SS, OWN.float(), 0.5)),
        ('S_a', lambda: mix_targets((SS[0], torch.eye(7)[:3]), OWN, 0.5)),
        ('S_v', lambda: mix_targets((torch.eye(6).long()[:3],) * 2, OWN, 0.5)),
        ('k', lambda: sample_candidates(6, OWN, 2.0, 0, 0)),
        ('n', lambda: sample_candidates(6.0, OWN, 2, 0, 0)),
        ('index', lambda: sample_candidates(6, [0], 2, 0, 0)),
        ('index', lambda: group_mask(torch.arange(6), torch.tensor([6]))),
        ('index', lambda: group_mask(torch.arange(6), [0])),
        ('groups', lambda: group_mask([0, 1], OWN)),
        ('index', lambda: uniform_targets([9], 3)),
        ('index', lambda: uniform_targets(torch.tensor([9]), 3)),
        ('mask', lambda: uniform_targets(OWN, 6, ~on)),
        ('mask', lambda: uniform_targets(OWN, 6, on[:5])),
        ('n', lambda: uniform_targets(OWN, 6.0)),
        ('classes', lambda: oracle_targets([0] * 6, OWN)),
        ('classes', lambda: oracle_targets(torch.zeros(6), OWN)),
        ('classes', lambda: oracle_targets(torch.zeros(2, 6).long(), OWN)),
        ('index', lambda: oracle_targets(torch.arange(5), OWN)),
        ('mask', lambda: oracle_targets(torch.arange(6), OWN, ~on)),
        ('faulty', lambda: oracle_weights(torch.zeros(3))),
        ('faulty', lambda: oracle_weights([True])),
        ('weights', lambda: shuffle_weights(torch.rand(3, 1), 0)),
        ('weights', lambda: shuffle_weights(-torch.rand(3), 0)),
        ('weights', lambda: shuffle_weights([1.0], 0)),
        ('S', lambda: target_stats(torch.eye(6)[:3], OWN[:2])),
        ('S', lambda: target_stats(torch.eye(6)[:3] * 2, OWN)),
        ('index', lambda: target_stats(torch.eye(6)[:3], OWN + 6)),
    ],
)
def test_bad_settings_name_the_argument(name, call):
    with pytest.raises(NceError, match=rf'^{name}: expected .*, got '):
        call()


@pytest.mark.parametrize(
    'name, change',
    [
        ('local', dict(local=CELLS[0])),
        ('local', dict(local=CELLS.tolist())),
        ('local', dict(local=2 * CELLS)),
        ('query', dict(query=nan[:3])),
        ('query', dict(query=good()['a'][:2])),
        ('tau', dict(tau=0)),
        ('tau', dict(tau=None)),
        ('reduction', dict(reduction='sum')),
        ('mask', dict(mask=torch.ones(3, 3))),
        ('mask', dict(mask=on)),
        ('weights', dict(weights=torch.ones(2))),
        ('weights', dict(weights=-torch.ones(3))),
    ],
)
def test_a_contrast_of_cells_names_the_argument(name, change):
    with pytest.raises(AttentionError, match=rf'^{name}: expected .*, got '):
        cell_contrast_loss(**{**dict(local=CELLS, query=good()['a'], validate=True), **change})


@pytest.mark.parametrize(
    'name, call',
    [
        ('local', lambda: attention_maps(CELLS.tolist(), good()['a'])),
        ('query', lambda: attention_maps(CELLS, good()['a'].tolist())),
        ('tau_m', lambda: attention_maps(CELLS, good()['a'], None)),
        ('local', lambda: places([[1.0]])),
        ('local', lambda: places(CELLS)),
        ('features', lambda: energy_scores([1.0])),
        ('share', lambda: ramp(0, 9, 'x')),
        ('step', lambda: ramp(-1, 9, 0.5)),
        ('tau_m', lambda: guided_maps(None, 0)),
        ('student_scores', lambda: consistency_loss([[1.0]], torch.ones(1, 1))),
        ('target_scores', lambda: consistency_loss(torch.ones(1, 1), [[1.0]])),
        ('tau_m', lambda: consistency_loss(torch.ones(1, 1), torch.ones(1, 1), tau_m='x')),
        ('weights', lambda: consistency_loss(torch.ones(1, 1), torch.ones(1, 1), weights=[1.0])),
        ('maps', lambda: map_stats([[1.0]])),
        ('maps', lambda: map_stats(torch.ones(3, 1))),
        ('maps', lambda: map_stats(torch.ones(3, 4))),
        ('maps', lambda: map_stats(torch.tensor([[2.0, -1.0]]))),
        (r'within', lambda: within_modal_xid(**good(), within=good()['v_bar'])),
        (r'within\[0\]', lambda: within_modal_xid(**good(), within=(good()['v_bar'][:5], good()['a_bar']))),
        (r'within\[1\]', lambda: within_modal_xid(**good(), within=(good()['v_bar'], 2 * good()['a_bar']))),
        (r'within\[1\]', lambda: within_modal_xid(**good(), within=(good()['v_bar'], nan))),
        (
            r'within\[1\]',
            lambda: within_modal_xid(**good(), within=(good()['v_bar'], nan), mask=on & (torch.arange(6) != 1)),
        ),
    ],
)
def test_attention_names_the_argument(name, call):
    with pytest.raises(AttentionError, match=rf'^{name}: expected .*, got '):
        call()


@pytest.mark.parametrize(
    'name, call',
    [
        ('index', lambda b: b.update([0], good()['v'][:1], good()['a'][:1])),
        ('v', lambda b: b.update(OWN[1:2], [[1.0]], good()['a'][:1])),
        ('momentum', lambda b: MemoryBank(4, 4, momentum=None)),
        ('index', lambda b: b.rows([1])),
        ('rank, world', lambda b: MemoryBank(4, 4, rank=2, world=2)),
        ('rank, world', lambda b: MemoryBank(4, 4, rank=0, world=None)),
    ],
)
def test_the_bank_names_the_argument(name, call):
    with pytest.raises(BankError, match=rf'^{name}: expected .*, got '):
        call(MemoryBank(4, 4))


@pytest.mark.parametrize('estimator', ESTIMATORS)
def test_a_query_without_fellows_keeps_its_own_row(estimator):
    "In a batch of windows of one file nobody else may be asked: plain xID for these, the others as always."
    p = good()
    mask = torch.ones(3, 6, dtype=torch.bool)
    mask[0] = torch.arange(6) == p['index'][0]
    lone = soft_targets(estimator, **p, mask=mask, exclude_self=True, validate=False)
    rest = soft_targets(estimator, **p, exclude_self=True)
    for S, R in zip(lone, rest):
        assert (
            S[0].equal(torch.eye(6)[5].to(S))
            and torch.allclose(S[1:], R[1:])
            and not R.gather(1, p['index'][:, None]).any()
        )


def test_checks_leave_gradients_and_warnings_alone(recwarn):
    "Targets, weights and queries that carry a gradient are checked without a word."
    torch.set_warn_always(True)  # torch says it once for each process
    p, T = good(), torch.full((3, 6), 1 / 6, dtype=torch.float64, requires_grad=True)
    w = torch.ones(3, requires_grad=True)
    xid_loss(**p, targets=(T, T), weights=w)
    mix_targets((T, T), p['index'], 0.5)
    target_stats(T, p['index'])
    shuffle_weights(w, 0)
    positive_weights(w * torch.rand(3), mean=w.mean(), var=w.mean())
    cell_contrast_loss(CELLS.requires_grad_(), p['a'], weights=w, validate=True)
    map_stats(T)
    consistency_loss(T, T, weights=w)
    for bad in (
        lambda: xid_loss(**p, targets=(2 * T, T)),
        lambda: xid_loss(**p, weights=-w),
        lambda: map_stats(2 * T),
        lambda: consistency_loss(T, T, weights=-w),
    ):
        with pytest.raises((NceError, AttentionError)):
            bad()
    torch.set_warn_always(False)
    assert not [str(r.message) for r in recwarn]


@pytest.mark.parametrize('first', ['ema', 'copy'])
def test_a_write_that_cancels_keeps_the_embedding(first):
    "At m = 0.5 a row and its opposite leave nothing, and nothing has no direction."
    bank = MemoryBank(3, 5, 0.5, first=first)
    bank.update(torch.arange(3), *(unit(torch.Generator().manual_seed(k), 3, 5).float() for k in (1, 2)))
    v, a = -bank.video, -bank.audio
    other = bank.video[2].clone()
    bank.update(torch.arange(2), v[:2], a[:2])
    assert (
        torch.allclose(bank.video[:2], v[:2], atol=1e-6)
        and torch.allclose(bank.audio[:2], a[:2], atol=1e-6)
        and bank.video[2].equal(other)
    )
    assert torch.allclose(bank.video.norm(dim=1), torch.ones(3))


def test_other_rooms_have_their_own_errors():
    with pytest.raises(AttentionError, match='reading'):
        within_modal_xid(**good(), reading='R9')
    with pytest.raises(AttentionError, match='query'):
        attention_maps(good()['v'][:, None], good()['a'][:2])
    with pytest.raises(BankError, match='index'):
        MemoryBank(4, 4).update(torch.tensor([4]), good()['v'][:1], good()['a'][:1])


def test_unchecked_calls_cost_no_synchronisation_and_agree():
    p = good()
    for f in (xid_loss, xid_loss_chunked, within_modal_xid, rince_loss, debiased_loss):
        assert torch.equal(f(**p), f(**p, validate=False))
    # tensors without values: looking at one is an error
    three = torch.ones(3, 3, dtype=torch.bool)
    from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

    with FakeTensorMode() as mode:
        fake = {k: mode.from_tensor(x) for k, x in p.items()}
        w = positive_weights(fake['v'][:, 0], mean=0.0, var=1.0, validate=False)
        T = mix_targets(soft_targets('cycle', **fake, validate=False), fake['index'], 0.5, validate=False)
        kw = dict(weights=w, mask=mode.from_tensor(on), validate=False)
        for f in (xid_loss, within_modal_xid):
            assert f(**fake, targets=T, **kw).shape == ()
        for f in (rince_loss, debiased_loss):
            assert f(**fake, **kw).shape == ()
        assert xid_loss_chunked(**fake, estimator='cycle', lam=0.5, chunk=4, exclude_self=True, **kw).shape == ()
        s = attention_maps(fake['v_bar'][None].expand(3, 6, 4), fake['v'], validate=False)[0]
        assert consistency_loss(s, s, weights=w, validate=False).shape == ()
        assert (
            cell_contrast_loss(
                fake['v'][:, None], fake['a'], mask=mode.from_tensor(three), weights=w, validate=False
            ).shape
            == ()
        )
        within_modal_xid(**fake, within=(fake['a_bar'], fake['v_bar']), validate=False)
        uniform_targets(fake['index'], 6, mode.from_tensor(on), validate=False)
        group_mask(fake['index'], fake['index'], validate=False)
        oracle_targets(mode.from_tensor(torch.arange(6)), fake['index'], validate=False)
        shuffle_weights(w, 0, validate=False)
        bank = MemoryBank(6, 4)
        bank.update(fake['index'], fake['v'], fake['a'], validate=False)
        with pytest.raises(DataDependentOutputException):
            xid_loss(**fake)


def test_half_precision_loses_only_the_rounding_of_its_inputs():
    g = torch.Generator().manual_seed(1)
    p = dict(v=unit(g, 8, 64), a=unit(g, 8, 64), v_bar=unit(g, 50, 64), a_bar=unit(g, 50, 64), index=torch.arange(8))
    for t in (torch.bfloat16, torch.float16):
        half = {k: x.to(t) if x.is_floating_point() else x for k, x in p.items()}
        exact = {k: x.double() if x.is_floating_point() else x for k, x in half.items()}
        for f in (xid_loss, xid_loss_chunked, within_modal_xid):
            q = half['v'].clone().requires_grad_()
            with torch.autocast('cpu', dtype=torch.bfloat16):
                got = f(**{**half, 'v': q})
            assert got.dtype == torch.float32 and abs(got.item() - f(**exact, validate=False).item()) < 1e-4
            assert torch.autograd.grad(got, q)[0].dtype == t


def test_import_costs_little_more_than_torch():
    code = (
        'import time, torch; t = time.process_time(); import avnb.nce, avnb.attention, sys; t = time.process_time() - '
        't;'
        "heavy = {'torchvision', 'torchaudio', 'av', 'moviepy', 'pandas', 'matplotlib', 'sklearn'} & set(sys.modules);"
        'print(t, *heavy)'
    )
    runs = [
        subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]
    assert not runs[0][1:] and min(float(r[0]) for r in runs) < 0.2, runs
