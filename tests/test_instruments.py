"What a run notes at each epoch's end, against slow loops that follow its definition."

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from toys import config, toy_set

from avnb import training
from avnb.core import TrainConfig, set_options
from avnb.memory import MemoryBank
from avnb.nce import ESTIMATORS, positive_weights
from avnb.objective import Objective
from avnb.training import State

N, KINDS = 60, np.array(['none', 'wrong_track', '', 'music'] * 15)


@pytest.fixture
def state(request):
    "A state in which all but five rows have been written; two windows in a file; some rows are not trained on."
    torch.manual_seed(0)
    bank, options = (
        MemoryBank(N, 12, 0.0),
        [
            'weight.enabled=true',
            'soft.estimator=cycle',
            'soft.tau_s=0.1',
            'soft.tau_t=0.3',
            *getattr(request, 'param', []),
        ],
    )
    v = F.normalize(torch.randn(N, 12), dim=1)
    bank.update(torch.arange(55), v[:55], F.normalize(v + 0.6 * torch.randn(N, 12), dim=1)[:55])
    cfg, rows = set_options(TrainConfig(), options), np.delete(np.arange(N), [3, 7])
    return SimpleNamespace(
        cfg=cfg,
        bank=bank,
        data=SimpleNamespace(rows=rows),
        device=torch.device('cpu'),
        objective=Objective(cfg, bank, rows=rows, groups=np.arange(N) // 2),
        manifest=SimpleNamespace(table=pd.DataFrame(dict(faulty_kind=KINDS))),
        used=[i for i in rows if i < 55],
    )


def numbers(s):
    return State.instruments(s)[0]


def score(s, i, j=None):
    return float(s.bank.video[i] @ s.bank.audio[i if j is None else j])


@pytest.mark.parametrize('kind', ['wrong_track', 'music'])
def test_auroc_is_the_share_of_pairs_in_the_right_order(state, kind):
    right = [i for i in state.used if KINDS[i] in ('', 'none')]
    wrong = [i for i in state.used if KINDS[i] == kind]
    wins = [
        (score(state, w) < score(state, r)) + 0.5 * (score(state, w) == score(state, r)) for w in wrong for r in right
    ]
    assert numbers(state)[f'auroc_{kind}'] == pytest.approx(np.mean(wins), abs=1e-9)


def test_scores_and_their_histograms(state):
    n, seen = State.instruments(state)
    pos, neg = (
        [score(state, i) for i in state.used],
        [score(state, i, j) for i in state.used for j in state.used if i // 2 != j // 2],
    )
    assert n['score_positive'] == pytest.approx(np.mean(pos), abs=1e-6) and n['score_negative'] == pytest.approx(
        np.mean(neg), abs=1e-6
    )
    assert np.allclose(sorted(seen['score_positive']), sorted(pos), atol=1e-6) and np.allclose(
        sorted(seen['score_negative']), sorted(neg), atol=1e-6
    )
    assert {k: len(x) for k, x in seen.items() if k[6:] in ('none', *KINDS)} == {
        f'score_{k}': sum((KINDS[i] or 'none') == k for i in state.used) for k in ('none', 'wrong_track', 'music')
    }


def test_weights_are_those_of_the_next_epoch(state):
    bank, w = state.bank, state.cfg.weight
    x = positive_weights(
        torch.tensor([score(state, i) for i in state.used]), w.delta, w.kappa, w.w_min, *bank.moments()
    ).numpy()
    want = dict(weight_mean=x.mean(), **{f'weight_q{q}': np.quantile(x, q / 100) for q in (10, 50, 90)})
    assert {k: y for k, y in numbers(state).items() if k.startswith('weight')} == pytest.approx(want, abs=1e-5)


@pytest.mark.parametrize('live', [False, True])
def test_moments_stand_still_for_an_epoch(state, live):
    "A clip's weight depends on its own row and on the moments at the epoch's start, whatever is written meanwhile."
    s, w = state, state.cfg.weight
    o = Objective(s.cfg, s.bank, groups=np.arange(N) // 2, live_keys=live)
    index = torch.arange(20)
    late = 10**6
    mean, var = s.bank.moments()
    before = o.weights(index, late)
    rows = torch.arange(20, 55)
    s.bank.update(rows, s.bank.video[rows], -s.bank.video[rows])  # other clips turn bad within the epoch
    assert s.bank.moments()[0] < mean - 0.1 and (o.mean, o.var) == (mean, var) and o.weights(index, late).equal(before)
    assert torch.allclose(
        before, positive_weights((s.bank.video[:20] * s.bank.audio[:20]).sum(1), w.delta, w.kappa, w.w_min, mean, var)
    )
    saved = o.state_dict()
    again = Objective(s.cfg, s.bank, groups=np.arange(N) // 2, live_keys=live)
    again.load_state_dict(saved)
    assert again.weights(index, late).equal(before)  # resumed in the middle of an epoch
    o.begin_epoch()
    assert (o.mean, o.var) == s.bank.moments() and (o.weights(index, late) > before).all()


def slow_targets(s, side):
    "S [queries, N] as plain loops over logits of methods A.5, in float64."
    c, (m, o) = (
        s.cfg.soft,
        [getattr(s.bank, k).double().numpy() for k in (('video', 'audio') if side == 'video' else ('audio', 'video'))],
    )
    S = np.zeros((len(s.used), N))
    for q, i in enumerate(s.used):
        for j in range(N):
            if j >= 55 or (j // 2 == i // 2 and j != i) or (j == i and c.exclude_self):
                continue
            S[q, j] = np.exp(
                dict(
                    bootstrap=m[i] @ o[j] / c.tau_s,
                    swapped=o[i] @ m[j] / c.tau_s,
                    neighbor=m[i] @ m[j] / c.tau_n,
                    cycle=o[i] @ m[j] / c.tau_s + m[j] @ o[j] / c.tau_t,
                )[c.estimator]
            )
    return S / S.sum(1, keepdims=True)


@pytest.mark.parametrize(
    'state',
    [[f'soft.estimator={e}', f'soft.exclude_self={x}'] for e in ESTIMATORS for x in ('true', 'false')],
    indirect=True,
)
def test_soft_targets_entropy_own_share_and_hubs(state):
    n = numbers(state)
    for side in ('video', 'audio'):
        S = slow_targets(state, side)
        own, best = [], []
        for q, i in enumerate(state.used):
            own.append(S[q, i])
            best.append(max((j for j in range(N) if j != i), key=lambda j: S[q, j]))
        degree = pd.Series(best).value_counts()
        want = {
            f'S_entropy_{side}': np.mean([-sum(p * np.log(p) for p in row if p) for row in S]),
            f'S_own_{side}': np.mean(own),
            f'S_hub_{side}': degree.max() / len(best),
            f'S_never_chosen_{side}': 1 - len(degree) / len(best),
        }
        assert {k: n[k] for k in want} == pytest.approx(want, abs=2e-4)


def test_a_sample_of_many_rows_is_seeded_and_close(state, monkeypatch):
    exact = numbers(state)
    for k, x in dict(_N_SCORED=40, _N_QUERIES=30, _N_NEGATIVES=20).items():
        monkeypatch.setattr(training, k, x)
    some = numbers(state)
    assert (
        some == numbers(state)
        and some.keys() == exact.keys()
        and some != exact
        and abs(some['S_entropy_video'] - exact['S_entropy_video']) < 0.3
    )


def test_nothing_to_see_is_no_error(state):
    state.bank.written[:] = False
    assert State.instruments(state) == ({}, {})
    state.bank.written[:2] = True
    state.bank.video[1] = float('nan')
    assert State.instruments(state) == ({}, {})


def test_a_run_notes_them_where_the_plots_and_tensorboard_look(tmp_path):
    from avnb.runs import read_monitors
    from avnb.training import fit

    run = fit(config(toy_set(tmp_path / 'toy'), tmp_path / 'run', ['optim.epochs=2', 'cmac.alpha=0.0']))
    notes = read_monitors(run.folder / 'monitors.csv')
    counts = pd.read_csv(run.folder / 'histograms.csv')
    assert {'auroc_wrong_track', 'score_positive', 'weight_mean', 'S_hub_audio'} <= set(notes) and list(
        notes['auroc_wrong_track'][0]
    ) == [4, 8]
    assert (
        list(counts)[:4] == ['step', 'epoch', 'name', '-1.000']
        and len(list(counts)) == 83
        and set(counts.name) == {'score_positive', 'score_negative', 'score_none', 'score_wrong_track'}
    )
    each = counts.set_index(['step', 'name']).drop(columns='epoch').sum(axis=1)
    assert each[8, 'score_positive'] == 48 == each[8, 'score_none'] + each[8, 'score_wrong_track']
    board = (
        pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
        .EventAccumulator(str(run.folder / 'tb'))
        .Reload()
    )
    assert 'monitor/auroc_wrong_track' in board.Tags()['scalars'] and 'score/positive' in board.Tags()['histograms']
    assert board.Scalars('monitor/auroc_wrong_track')[-1].value == pytest.approx(notes['auroc_wrong_track'][1][-1])
