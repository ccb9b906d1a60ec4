"""Clips with several classes: metrics against slow versions and scikit-learn, protocols from a manifest to a report;
one class per clip is as before."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from toys import config, toy_set

from avnb.cli import main
from avnb.evaluate import run_protocol
from avnb.localization import partners
from avnb.manifest import Manifest, join_labels, split_labels
from avnb.media import read_clip, write_clip
from avnb.metrics import (
    EvaluationError,
    SameClass,
    _d_prime,
    class_counts,
    multi_label,
    multi_label_scores,
    one_hot,
    ranking_areas,
    ranking_scores,
    retrieval,
    retrieval_class,
    unit,
)
from avnb.network import Network
from avnb.packed import PackedSet
from avnb.probes import knn_accuracy, linear_probe, multi_label_probe
from avnb.protocols import ClassifierConfig, EvalConfig

QUICK = EvalConfig(
    windows=2,
    seeds=1,
    draws=3,
    shots='1',
    batch=8,
    linear=ClassifierConfig(epochs=1, milestones='', batch=8, lr=1e-2, random_clips=2),
    finetune=ClassifierConfig(
        warmup=1, epochs=1, milestones='', batch=8, lr=1e-3, dropout=0.5, clips=2, random_clips=2
    ),
)
NAMES = ['Dog', 'Bark, yip', 'rock; roll', 'Street', 'Music']


def slow_areas(scores, right):
    "(average precision, area under the ROC curve) in float64 loops: over thresholds, and over pairs."
    s, r = [float(x) for x in scores], [bool(x) for x in right]
    ap, P = 0.0, sum(r)
    for t in sorted({x for x, p in zip(s, r) if p}):
        above = [p for x, p in zip(s, r) if x >= t]
        ap += sum(p for x, p in zip(s, r) if x == t) / P * sum(above) / len(above)
    pairs = [(a > b) + (a == b) / 2 for a, p in zip(s, r) if p for b, q in zip(s, r) if not q]
    return ap, sum(pairs) / len(pairs)


def planted(seed, n=60, m=50, dim=12, noise=1.0):
    "Training and test clips with sets of classes, in their label text, and features that show them."
    g = np.random.default_rng(seed)
    means = g.normal(size=(5, dim))
    Y = g.random((n + m, 5)) < [0.5, 0.3, 0.2, 0.2, 0.1]
    Y[~Y.any(1), 0] = True
    y = np.array([join_labels(np.array(NAMES)[row]) for row in Y])
    x = Y @ means + noise * g.normal(size=(n + m, dim))
    return x[:n], y[:n], x[n:], y[n:]


rows = st.lists(
    st.tuples(st.integers(0, 6).map(lambda k: k / 4), st.booleans(), st.integers(0, 3)), min_size=2, max_size=30
)


@settings(max_examples=50, deadline=None)
@given(rows.filter(lambda r: {p for _, p, _ in r} == {True, False}))
def test_areas_are_those_of_the_loop_and_of_scikit_learn(r):
    from sklearn.metrics import average_precision_score, roc_auc_score

    s, p, w = (np.array(x) for x in zip(*r))
    got = [float(x[0]) for x in ranking_areas(s[None], p[None], np.ones((1, len(s))))]
    assert got == pytest.approx(slow_areas(s, p), abs=1e-9) == (average_precision_score(p, s), roc_auc_score(p, s))
    if not (w[p].any() and w[~p].any()):
        return
    again = np.repeat(np.arange(len(s)), w)
    assert [float(x[0]) for x in ranking_areas(s[None], p[None], w[None])] == pytest.approx(
        slow_areas(s[again], p[again]), abs=1e-9
    )


@pytest.mark.parametrize('seed', range(3))
def test_the_probe_against_scikit_learn_by_hand(seed):
    "One-vs-rest by scikit-learn at the same penalty, and the metrics in loops: 1e-6."
    from scipy.stats import norm
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.preprocessing import MultiLabelBinarizer

    x, y, tx, ty = planted(seed)
    got = multi_label_probe(x, y, tx, ty)
    b = MultiLabelBinarizer().fit([split_labels(t) for t in [*y, *ty]])
    Y, T = (b.transform([split_labels(t) for t in part]) for part in (y, ty))
    mu, sd = x.mean(0), x.std(0)
    best = []
    for C in (0.001, 0.01, 0.1, 1.0):
        fit = OneVsRestClassifier(LogisticRegression(C=C, max_iter=200, tol=1e-3)).fit((x - mu) / sd, Y)
        each = np.array([slow_areas(s, r) for s, r in zip(fit.decision_function((tx - mu) / sd).T, T.T)])
        best.append((each[:, 0].mean(), each[:, 1].mean()))
    hit = [
        k
        for k, (ap, auc) in enumerate(best)
        if abs(got['map'].value - ap) < 1e-6 and abs(got['auc'].value - auc) < 1e-6
    ]
    assert hit and got['dprime'].value == pytest.approx(2**0.5 * norm.ppf(best[hit[0]][1]), abs=1e-6)
    assert (
        got['map'].chance == pytest.approx(T.mean())
        and got['auc'].chance == 0.5
        and got['dprime'].chance == 0
        and got['map'].n == len(ty)
    )
    assert got['map'].margin > 0.2


def test_what_scores_say_when_they_know_all_or_nothing():
    x, y, tx, ty = planted(0)
    classes, T = one_hot(ty, True)
    sure = multi_label_scores(T, T.astype(float))
    assert (
        sure['map'].value == sure['auc'].value == 1
        and np.isfinite(sure['dprime'].value)
        and all(s.error > 0 for s in sure.values())
    )
    blind = multi_label_scores(T, np.zeros(T.shape))
    assert (
        blind['map'].value == pytest.approx(blind['map'].chance)
        and blind['auc'].value == 0.5
        and abs(blind['dprime'].value) < 1e-12
    )
    json.dumps([s.to_dict() for s in (*sure.values(), *blind.values())], allow_nan=False)
    part = multi_label_scores(
        np.c_[T, np.zeros(len(T), bool), np.ones(len(T), bool)],
        np.random.default_rng(0).normal(size=(len(T), T.shape[1] + 2)),
    )
    assert '2 more have no test clip' in part['map'].note and part['map'].note.startswith(
        f'mean over {T.shape[1]} classes'
    )
    with pytest.raises(EvaluationError, match='none of the 1 classes'):
        multi_label_scores(np.ones((4, 1), bool), np.ones((4, 1)))
    with pytest.raises(EvaluationError, match='at least two files'):
        multi_label_scores(T, T + 0.0, ['one'] * len(T))
    with pytest.raises(EvaluationError, match='a class that some training clips have'):
        multi_label_probe(x, ['A; B'] * len(x), tx, ['A'] * len(tx))


def test_d_prime_is_the_distance_of_two_normal_curves():
    g = np.random.default_rng(0)
    for d in (0.3, 1.0, 2.0):
        s, p = np.r_[g.normal(d, 1, 20000), g.normal(0, 1, 20000)], np.arange(40000) < 20000
        assert _d_prime(float(ranking_areas(s[None], p[None], np.ones((1, 40000)))[1][0]), 4e8) == pytest.approx(
            d, abs=0.03
        )


labels = st.lists(st.frozensets(st.sampled_from(NAMES), max_size=3), min_size=2, max_size=25)


@given(labels, labels)
def test_same_class_is_a_common_class(a, b):
    got = SameClass([join_labels(s) for s in a], [join_labels(s) for s in b])[:]
    several = any(len(s) > 1 for s in [*a, *b])
    assert (got == [[bool(s & t) if several else s == t for t in b] for s in a]).all()


@settings(max_examples=60, deadline=None)
@given(labels)
def test_partners_of_another_class_share_none(sets):
    nxt, other = partners([join_labels(s) for s in sets])
    if not any(len(s) > 1 for s in sets):
        return
    for i, j in enumerate(other):
        apart = [k for k, s in enumerate(sets) if not s & sets[i] and k != i]
        assert (j in apart and not sets[i] & sets[j]) if apart else j == -1


@pytest.mark.parametrize('seed', range(4))
def test_retrieval_and_neighbours_by_hand(seed):
    x, y, tx, ty = planted(seed)
    q, g = unit(tx), unit(x)
    same = [[bool(split_labels(a) & split_labels(b)) for b in y] for a in ty]
    got, each = (
        retrieval(tx, x, ty, y, (1, 5)),
        [slow_areas(a @ g.T, r) for a, r in zip(q, same) if 0 < sum(r) < len(r)],
    )
    assert got['r1'].value == np.mean([r[int(np.argmax(a @ g.T))] for a, r in zip(q, same)]) and got[
        'r1'
    ].chance == pytest.approx(np.mean(same))
    ranks = [min(k for k, j in enumerate(np.argsort(-(a @ g.T)), 1) if r[j]) for a, r in zip(q, same)]
    assert got['median_rank'] == np.median(ranks) and got['r5'].value == np.mean([r <= 5 for r in ranks])
    assert got['auc'].value == pytest.approx(np.mean([b for _, b in each]), abs=1e-6) and got['auc'].n == len(each)
    assert got['map'].value == pytest.approx(
        np.mean([slow_areas(a @ g.T, r)[0] if 0 < sum(r) < len(r) else float(all(r)) for a, r in zip(q, same)]),
        abs=1e-6,
    )
    assert got['map'].chance == pytest.approx(np.mean(same)) and 'one class in common' in got['map'].note
    other = np.random.default_rng(seed).normal(size=x.shape) + x
    one = retrieval_class(x, other, y)
    c = unit(x) @ unit(other).T
    np.fill_diagonal(c, -2)
    assert one.value == np.mean([bool(split_labels(a) & split_labels(y[j])) for a, j in zip(y, c.argmax(1))])
    near = knn_accuracy(x, y, tx, ty, k=7)
    hits = []
    for a, t in zip(q, ty):
        votes = dict.fromkeys(sorted(set().union(*map(split_labels, y))), 0.0)
        for j in np.argsort(-(a @ g.T), kind='stable')[:7]:
            for name in split_labels(y[j]):
                votes[name] += np.exp((a @ g[j] - 1) / 0.07)
        hits.append(max(votes, key=votes.get) in split_labels(t))
    assert near.value == np.mean(hits)


def test_one_class_per_clip_is_as_before():
    "Names or numbers, a semicolon within a name or none: the same scores, and none of the others."
    g = np.random.default_rng(3)
    k, tk = g.integers(0, 4, 80), g.integers(0, 4, 60)
    x, tx = g.normal(size=(4, 8))[k] + g.normal(size=(80, 8)), g.normal(size=(60, 8))
    named = np.array([join_labels([n]) for n in ('a', 'rock; roll', 'x, y', 'z')])
    for f in (
        lambda y, ty: linear_probe(x, y, tx, ty),
        lambda y, ty: knn_accuracy(x, y, tx, ty),
        lambda y, ty: retrieval_class(x, x[::-1], y),
        lambda y, ty: retrieval(tx, x, ty, y)['r1'],
        lambda y, ty: retrieval(tx, x, ty, y)['mrr'],
    ):
        assert f(k, tk).to_dict() == f(named[k], named[tk]).to_dict()
    assert 'map' not in retrieval(tx, x, named[tk], named[k]) and not multi_label(named)


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    "(manifest with sets of classes, packed set, config, network) of 48 toy clips."
    folder = toy_set(tmp_path_factory.mktemp('toy') / 'set')
    m = Manifest.load(folder / 'manifest.csv')
    tags = [join_labels({f'kind {k}', *(['odd; loud'] if i % 3 == 0 else [])}) for i, k in enumerate(m.table['label'])]
    m = Manifest(folder, m.table.assign(split=np.where(m.table.index < 32, 'train', 'test'), label=tags))
    cfg = config(folder, 'unused')
    return m, PackedSet.load(folder), cfg, Network.from_config(cfg, seed=7)


@pytest.mark.parametrize('protocol', ['retrieval', 'audio', 'linear', 'finetune'])
def test_protocols_report_map_auc_and_d_prime(toy, tmp_path, protocol):
    m, packed, cfg, net = toy
    report = run_protocol(protocol, net, m, QUICK, tmp_path, packed)
    about, found = report.pop('about'), {k.rsplit('_', 1)[1] for k in report}
    assert {'map', 'auc', 'dprime'} <= found and (found == {'map', 'auc', 'dprime'} or protocol == 'retrieval')
    for k, s in report.items():
        assert s['n'] == 12 and 'untrained' in s['baselines'] and s['error'] >= 0, k
        if k.endswith('_auc') and 'instance' not in k:
            assert s['chance'] == 0.5
        if k.endswith('_dprime'):
            assert s['chance'] == 0 and np.isfinite(s['value'])
        if k.endswith('_map'):
            assert 0 < s['chance'] < 1 and 0 <= s['value'] <= 1
    counts = pd.read_csv(tmp_path / f'classes-{protocol}.csv').set_index('class')
    part = m.table[m.table['faulty_kind'] == 'none']
    assert (
        counts['test']['odd; loud'] == part[part['split'] == 'test']['label'].str.contains('odd').sum()
        and counts['train'].sum() > 24
    )
    assert 'several per clip' in about['classes'] and 'odd; loud' in about['clips per class']
    single = Manifest(m.folder, m.table.assign(label=[join_labels(sorted(s)[:1]) for s in m.labels]))
    again = run_protocol(protocol, net, single, QUICK, tmp_path, packed)
    assert (
        not (tmp_path / f'classes-{protocol}.csv').exists()
        and 'classes' not in again['about']
        and not any(k.endswith('_map') for k in again)
    )


def test_few_shots_of_sets_are_refused(toy, tmp_path):
    m, packed, cfg, net = toy
    with pytest.raises(EvaluationError, match='clips of this set have several'):
        run_protocol('fewshot', net, m, QUICK, tmp_path, packed)


def test_the_report_of_a_run(toy, tmp_path, capsys):
    from avnb.training import fit

    m = toy[0]
    shutil.copytree(m.folder, tmp_path / 'set')
    Manifest(tmp_path / 'set', m.table).save(tmp_path / 'set' / 'manifest.csv', overwrite=True)
    fit(
        config(
            tmp_path / 'set',
            tmp_path / 'run',
            ['optim.epochs=1', 'weight.enabled=false', 'cmac.alpha=0.0', 'soft.estimator='],
        )
    )
    assert main(['evaluate', 'report', str(tmp_path / 'run'), '--set', 'windows=1']) == 0
    said = capsys.readouterr().out
    report = json.loads((tmp_path / 'run' / 'report.json').read_text())
    for k in (
        'linear_video_map',
        'linear_audio_auc',
        'linear_video_dprime',
        'retrieval_class_v2a_map',
        'retrieval_class_a2v_dprime',
        'retrieval_class_v2a_r1',
        'knn_video',
    ):
        assert report[k]['n'] == 12 and 'untrained' in report[k]['baselines'], k
    assert (
        'linear_video' not in report
        and "video, linear probes, d'" in said
        and 'several per clip' in report['about']['classes']
    )


def test_audioset_from_its_lists_to_a_report(tmp_path, capsys):
    "The published layout, four labels; the order of codes differs between the lists."
    samples = Path(__file__).parents[1] / 'data_samples'
    t, mids = (
        pd.read_csv(samples / 'manifest.csv', dtype=dict(id=str)).sort_values('label')[:16],
        ['/m/1', '/m/2', '/m/3', '/m/4'],
    )
    head, lists = (
        '# Segments csv created\n# x\n# YTID, start_seconds, end_seconds, positive_labels\n',
        dict(balanced_train='', eval=''),
    )
    root = tmp_path / 'set'
    (root / 'video').mkdir(parents=True)
    for k, (path, label) in enumerate(zip(t['path'], t['label'])):
        c, side = read_clip(samples / path, 0.0, 2.0, rate=8000), ('balanced_train', 'eval')[k % 2]
        write_clip(
            root / 'video' / f'Yvideo-{k:05}_30.000_40.000.mp4',
            np.tile(c.frames, (5, 1, 1, 1)),
            np.tile(c.waveform, 5),
            16,
            8000,
        )
        own = [mids[label != t['label'].iloc[0]], *([mids[2 + k // 4 % 2]] if k % 4 < 2 else [])]
        lists[side] += f'video-{k:05}, 30.000, 40.000, "{",".join(own[:: 1 if side == "eval" else -1])}"\n'
    for side, text in lists.items():
        (root / f'{side}_segments.csv').write_text(head + text)
    (root / 'class_labels_indices.csv').write_text(
        'index,mid,display_name\n'
        + ''.join(f'{i},{m},"{n}"\n' for i, (m, n) in enumerate(zip(mids, ['Speech', 'Music', 'Dog', 'Bark, yip'])))
    )
    cfg = config('', 'unused')
    Network.from_config(cfg, seed=3).model.save_pretrained(tmp_path / 'net', cfg)
    fast = [x for k, v in dict(windows=1, seeds=1, batch=8).items() for x in ('--set', f'{k}={v}')]
    for protocol, name in (('audio', 'audio_svm_map'), ('retrieval', 'retrieval_video_to_audio_embedding_map')):
        code = main(
            [
                'evaluate',
                protocol,
                str(tmp_path / 'net'),
                '--data',
                f'audioset={root}',
                '--out',
                str(tmp_path / 'out'),
                *fast,
            ]
        )
        assert code == 0, capsys.readouterr().err
        report = json.loads((tmp_path / 'out' / f'report-{protocol}.json').read_text())
        assert (
            report[name]['n'] == 8
            and report['about']['clips'] == '16 of 16 in the list'
            and 0 < report[name]['chance'] < 1
        )
        counts = pd.read_csv(tmp_path / 'out' / f'classes-{protocol}.csv').set_index('class')
        assert counts[['train', 'test']].sum().tolist() == [12, 12] and set(counts.index) <= {
            'Speech',
            'Music',
            'Dog',
            'Bark, yip',
        }


def test_counts_of_classes():
    t = pd.DataFrame(dict(label=['a; b', 'a', '', 'c'], split=['train', 'train', 'test', 'test']))
    assert class_counts(t).values.tolist() == [['a', 2, 0], ['b', 1, 0], ['c', 0, 1]] and len(class_counts(t[2:3])) == 0


def test_a_large_ranking_is_done_in_parts():
    g = np.random.default_rng(0)
    q, gallery = g.normal(size=(700, 4)), g.normal(size=(3000, 4))
    y, gy = (
        np.array([join_labels(g.choice(NAMES, g.integers(1, 3), replace=False)) for _ in range(n)]) for n in (700, 3000)
    )
    whole = ranking_scores(q, gallery, SameClass(y, gy))
    parts = [ranking_scores(q[b], gallery, SameClass(y[b], gy)) for b in (slice(0, 350), slice(350, 700))]
    assert (
        whole['map'].value == pytest.approx(np.mean([p['map'].value for p in parts]))
        and abs(whole['map'].margin) < 0.01
    )
