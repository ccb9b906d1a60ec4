"Invariants of the metrics on random input: ranges, ties, order, scale, and agreement with scikit-learn."

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

import avnb.metrics as metrics
from avnb.features import Features
from avnb.localization import Tally, localization_report, score_audio, score_video
from avnb.map_metrics import (
    RULES,
    LocalizationError,
    best_ciou,
    box_mask,
    cell_means,
    ciou,
    confidence,
    detection,
    energy_in_box,
    frequency_hit,
    frequency_iou,
    in_bands,
    minmax,
    pointing_hit,
    resample,
    success_auc,
    threshold_mask,
    time_frequency_hit,
)
from avnb.metrics import (
    EvaluationError,
    Score,
    _first_right,
    _found_within,
    _own_rank,
    auroc,
    half_width,
    retrieval,
    retrieval_class,
    retrieval_instance,
)
from avnb.probes import _draw_shots, folds_of, mean_over_splits
from avnb.published_boxes import score_published, truth_map
from avnb.report import score_table
from avnb.truth import TruthError, read_truth, sounding_sources

settings.register_profile('metrics', max_examples=60, deadline=None, derandomize=True)
settings.load_profile('metrics')

SIDE = 12
levels = st.integers(0, 20).map(lambda k: k / 20)  # few levels: many ties
maps = arrays(np.float64, (SIDE, SIDE), elements=levels)
corner, length = st.integers(0, SIDE - 1), st.integers(1, SIDE)
box = st.tuples(corner, corner, length, length).map(
    lambda b: [b[0], b[1], min(b[0] + b[2], SIDE), min(b[1] + b[3], SIDE)]
)
boxes = st.lists(box, min_size=1, max_size=3)
truths = arrays(np.float64, (SIDE, SIDE), elements=st.sampled_from([0, 0, 0, 0.5, 1.0])).filter(lambda g: g.any())


@given(maps, boxes)
def test_pointing_is_the_share_of_tied_maxima(m, b):
    tied = np.argwhere(m == m.max())
    inside = [any(x0 <= x < x1 and y0 <= y < y1 for x0, y0, x1, y1 in b) for y, x in tied]
    assert pointing_hit(m, b) == np.mean(inside)


@given(maps, boxes, st.floats(0.1, 10), st.floats(-5, 5))
def test_pointing_survives_rising_transforms_and_mirrors(m, b, scale, shift):
    ranks = np.unique(m, return_inverse=True)[1].reshape(m.shape)  # exact: a float scale could merge neighbours
    assert pointing_hit(ranks, b) == pointing_hit(m, b)
    mirrored = [[SIDE - x1, y0, SIDE - x0, y1] for x0, y0, x1, y1 in b]
    assert pointing_hit(m[:, ::-1], mirrored) == pointing_hit(m, b)


@given(boxes)
def test_flat_map_scores_the_area(b):
    area = box_mask(b, (SIDE, SIDE)).mean()
    assert pointing_hit(np.full((SIDE, SIDE), 3.0), b) == area
    assert energy_in_box(np.full((SIDE, SIDE), 3.0), b) == pytest.approx(area)


@given(maps, boxes, boxes)
def test_more_boxes_never_hurt(m, b, more):
    assert pointing_hit(m, b + more) >= pointing_hit(m, b)
    assert energy_in_box(m, b + more) >= energy_in_box(m, b)


@given(arrays(bool, (SIDE, SIDE)), truths)
def test_ciou_range_and_full_image(A, g):
    assert 0 <= ciou(A, g) <= 1
    assert ciou(g > 0, g) == pytest.approx(1)
    assert ciou(np.ones_like(A), g) == pytest.approx(g.sum() / (g.sum() + (g == 0).sum()))
    binary = (g > 0).astype(float)  # binary truth: plain intersection over union
    assert ciou(A, binary) == pytest.approx((A & (g > 0)).sum() / (A | (g > 0)).sum())


@given(maps, truths, st.sampled_from(RULES))
def test_no_map_beats_the_bound_of_its_rule(m, g, rule):
    ordered = m + np.arange(SIDE * SIDE).reshape(SIDE, SIDE) / 1e4  # without ties, as the bound assumes
    assert ciou(threshold_mask(ordered, rule, g), g) <= best_ciou(g, rule) + 1e-12
    perfect = g + np.arange(SIDE * SIDE).reshape(SIDE, SIDE) / 1e4
    if rule != 'slavc':
        assert ciou(threshold_mask(perfect, rule, g), g) == pytest.approx(best_ciou(g, rule))


@given(maps, truths)
def test_masks_do_not_depend_on_scale(m, g):
    for rule in ('adaptive', 'lvs', 'ez-vsl'):
        assert (threshold_mask(m, rule, g) == threshold_mask(4 * m + 2, rule, g)).all()
    ordered = m + np.arange(SIDE * SIDE).reshape(SIDE, SIDE) / 1e4
    assert threshold_mask(ordered, 'adaptive', g).sum() == (g > 0).sum()
    assert (
        threshold_mask(ordered, 'ez-vsl').sum() == SIDE * SIDE // 2
        and threshold_mask(ordered, 'lvs').sum() == SIDE * SIDE // 2 - 1
    )


@given(st.lists(levels, min_size=1, max_size=30))
def test_auc_is_a_mean_over_samples_and_rises(c):
    assert success_auc(c) == pytest.approx(np.mean([success_auc([x]) for x in c]))
    assert 0.025 <= success_auc(c) <= 1 and success_auc(c) <= success_auc([min(x + 0.05, 1) for x in c]) + 1e-12
    assert success_auc([k / 20 for k in range(21)]) == pytest.approx(0.5 + 1 / 42)


@given(arrays(np.float64, 16, elements=levels), st.integers(0, 15), st.integers(0, 15))
def test_frequency_hit_is_pointing_in_one_dimension(m, i, j):
    hz, lo, hi = np.arange(16) * 100.0 + 50, min(i, j), max(i, j)
    band = [hz[lo], hz[hi]]
    assert frequency_hit(m, hz, band) == pytest.approx(pointing_hit(m[None], [[lo, 0, hi + 1, 1]]))
    assert 0 <= frequency_iou(m, hz, band) <= 1 and frequency_iou(in_bands(hz, band).astype(float), hz, band) == 1
    assert frequency_hit(m[::-1], hz[::-1], band) == frequency_hit(m, hz, band)


@given(arrays(np.float64, st.integers(1, 9), elements=levels), st.integers(1, 40))
def test_stretch_stays_between_its_cells(m, n):
    s = resample(m, n)
    assert len(s) == n and s.min() >= m.min() - 1e-12 and s.max() <= m.max() + 1e-12
    assert resample(m, len(m)) == pytest.approx(m) and resample(m[::-1], n) == pytest.approx(s[::-1])


@given(maps, st.integers(1, 4))
def test_cells_are_means(m, k):
    assert cell_means(m, (SIDE // k, SIDE // k) if SIDE % k == 0 else (SIDE, SIDE)).mean() == pytest.approx(m.mean())
    assert cell_means(m, (SIDE, SIDE)) == pytest.approx(m)


@given(
    st.lists(st.tuples(levels, st.booleans()), min_size=2, max_size=60).filter(lambda r: len({p for _, p in r}) == 2)
)
def test_auroc_agrees_with_sklearn(rows):
    from sklearn.metrics import roc_auc_score

    s, p = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    a = auroc(s, p)
    assert a.value == pytest.approx(roc_auc_score(p, s)) and 0 <= a.error <= 2 and a.n == len(rows)
    assert auroc(-s, p).value == pytest.approx(1 - a.value) and auroc(np.exp(3 * s), p).value == pytest.approx(a.value)


points = arrays(np.float64, (8, 3), elements=st.integers(-3, 3).map(float))


@given(
    points,
    points,
    st.permutations(range(8)),
    st.lists(st.integers(0, 3), min_size=8, max_size=8).filter(lambda f: len(set(f)) > 1),
)
def test_retrieval_ignores_order_and_scale(q, g, order, files):
    order, labels, files = np.array(order), np.arange(8) % 3, np.array(files)
    one, two = (
        retrieval_class(q, g, labels, files),
        retrieval_class(7 * q[order], g[order], labels[order], files[order]),
    )
    assert one.value == pytest.approx(two.value) and one.chance == pytest.approx(two.chance)
    a, b = retrieval_instance(q, g, files), retrieval_instance(q[order], 3 * g[order], files[order])
    assert a['r5'].value == pytest.approx(b['r5'].value) and a['r1'].value <= a['r5'].value <= a['r10'].value
    above, tied, size = _own_rank(q, g, files)
    assert (above + tied < size).all()


@given(st.integers(2, 12))
def test_collapsed_embeddings_score_chance(n):
    flat, labels = np.ones((n, 3)), np.arange(n) % 2
    s = retrieval_class(flat, flat, labels)
    assert s.value == pytest.approx(s.chance)
    for k in ('r1', 'r5'):
        r = retrieval_instance(flat, flat)[k]
        assert r.value == pytest.approx(r.chance)


@given(st.lists(levels, min_size=2, max_size=40))
def test_half_width_is_a_width(h):
    assert 0 < half_width(h) <= 1 or np.ptp(h) < 1
    assert half_width(h * 9, list(range(len(h))) * 9) == pytest.approx(
        half_width(h, range(len(h))), abs=1e-12
    )  # windows of the same files: no news


@given(arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(1, 4)), elements=levels))
def test_window_means_are_means(x):
    "In double precision, whatever the precision of the windows."
    x = x.astype(np.float32)
    f = Features(lambda key, w: x[:, w], x.shape[1])
    assert f.mean('x', normed=False) == pytest.approx(x.astype(np.float64).mean(1)) and (f.each('x') == x).all()


def test_a_box_without_area_is_hit_by_no_map():
    t, g = Tally(), truth_map([[0.26875, 1.0, 0.753125, 1.0]])
    assert not g.any()
    score_published(t, dict(guided=np.random.default_rng(0).random(g.shape), whole=np.ones(g.shape)), g)
    assert (
        {tuple(h[k]) for m, h in t.hits.items() for k in h} == {(0.0,)}
        and set(t.hits['best']) == set(RULES)
        and t.chance == dict(pointing=[0.0])
    )


@pytest.mark.parametrize('mask', [np.full((2, 2), 0.5), np.array([[1, np.nan], [0, 1]]), np.array([[2, 0], [0, 1]])])
def test_a_heat_map_is_no_mask(mask):
    with pytest.raises(LocalizationError, match='threshold_mask'):
        ciou(mask, np.ones((2, 2)))
    assert ciou(np.array([[1.0, 0], [0, 0]]), np.ones((2, 2))) == 0.25


def test_every_measure_is_a_score_beside_what_has_learned_nothing():
    gen = np.random.default_rng(2)
    t, right, hz, cious = Tally(), [], np.arange(8) * 100.0, []
    names = ('guided', 'vision_only', 'random', 'untrained', 'untrained_alone')
    for k in range(9):
        maps = {m: gen.random((4, 4)) for m in names}
        score_video(t, maps, [[0, 0, 0.5, 0.5]])
        truth = box_mask([[0, 0, 2, 2]], (4, 4)).astype(float)
        cious.append(ciou(threshold_mask(maps['guided'], 'adaptive', truth), truth))
        right.append(
            score_audio(
                t,
                dict(guided=np.arange(8.0), sound_only=np.arange(8.0)[::-1], untrained_alone=np.ones(8)),
                hz,
                [[600, 700]] if k % 3 else [[0, 300]],
            )
        )
    r = localization_report(t, right)
    assert (
        all(s.n == 9 and (s.baselines.keys() & {'untrained', 'random'} or 'frequency' in k) for k, s in r.items())
        and len(r) == 11
    )
    assert r['ciou_mean_guided'].value == pytest.approx(np.mean(cious)) and r['ciou_auc_guided'].value == pytest.approx(
        success_auc(cious)
    )
    assert (
        r['energy_guided'].chance == pytest.approx(0.25)
        and r['frequency_hit_guided'].value == pytest.approx(6 / 9) == r['frequency_iou_guided'].value
    )
    for k, name in (('pointing', 'pointing_vision_only'), ('energy', 'energy_vision_only')):
        assert r[name].baselines['untrained'] == pytest.approx(np.mean(t.hits[k]['untrained_alone']))
    share = np.mean(right, 0)
    flat = [(share >= np.sort(share)[-m.sum()]) for m in right]  # the fixed guess of every clip, and its IoU, in a loop
    assert r['frequency_iou_sound_only'].baselines['fixed_band'] == pytest.approx(
        np.mean([(f & m).sum() / (f | m).sum() for f, m in zip(flat, right)])
    )
    assert r['frequency_hit_sound_only'].baselines['untrained'] == pytest.approx(np.mean([m.mean() for m in right]))


@pytest.mark.parametrize('text', ['[{"id": 1}]', '{"id": 1', '5', '[{"id": 1, "fps": 8}]'])
def test_a_damaged_truth_is_named(tmp_path, text):
    (tmp_path / 'truth.json').write_text(text)
    with pytest.raises(TruthError, match='truth.json cannot be read'):
        read_truth(tmp_path)
    (tmp_path / 'truth.json').unlink()
    (tmp_path / 'truth').mkdir()
    (tmp_path / 'truth' / '1.json').write_text(text)
    with pytest.raises(TruthError, match='1.json cannot be read'):
        read_truth(tmp_path)


def test_errors_say_what_came():
    for call in (
        lambda: ciou(np.ones((2, 2)), np.zeros((2, 2))),
        lambda: ciou(np.ones((2, 2)), np.ones((2, 3))),
        lambda: pointing_hit(np.full((2, 2), np.nan), [[0, 0, 1, 1]]),
        lambda: pointing_hit(np.ones((2, 2)), [[5, 5, 6, 6]]),
        lambda: energy_in_box(-np.ones((2, 2)), [[0, 0, 1, 1]]),
        lambda: threshold_mask(np.ones((2, 2)), 'otsu'),
        lambda: threshold_mask(np.ones((2, 2)), 'adaptive', np.zeros((2, 2))),
        lambda: threshold_mask(np.ones((2, 2)), 'adaptive', np.ones((3, 3))),
        lambda: best_ciou(np.ones((2, 2)), 'otsu'),
        lambda: best_ciou(np.zeros((2, 2)), 'lvs'),
        lambda: success_auc([]),
        lambda: frequency_hit(np.ones(4), [100, 200, 300, 400], [1000, 2000]),
        lambda: frequency_hit(np.ones(3), [100, 200, 300, 400], [100, 200]),
        lambda: frequency_iou(np.ones(5), [100, 200, 300, 400], [100, 200]),
        lambda: frequency_iou(np.ones(4), [100, np.nan, 300, 400], [100, 200]),
        lambda: in_bands([[100], [200]], [100, 200]),
        lambda: time_frequency_hit(np.ones((3, 4)), np.ones((4, 3), bool)),
        lambda: detection([0.1, np.nan], [0.6, 0], [True, False]),
        lambda: detection([0.1, 0.2], [np.nan, 0], [True, False]),
        lambda: detection([0.1, 0.2, 0.3], [0.6, 0], [True, False, True]),
        lambda: sounding_sources(dict(sources=[], fps=8.0), -0.1, (0, 1)),
        lambda: sounding_sources(dict(sources=[], fps=8.0), np.nan, (0, 1)),
    ):
        with pytest.raises((LocalizationError, TruthError)):
            call()
    for call in (
        lambda: auroc([1, 2], [True, True]),
        lambda: half_width([1.0]),
        lambda: retrieval_class(np.ones((3, 2)), np.ones((3, 2)), [0, 1, 0], ['f'] * 3),
    ):
        with pytest.raises(EvaluationError):
            call()


def test_score_table_shows_company():
    s = dict(
        linear_video=Score(0.5, 0.04, 0.083, 600, dict(untrained=0.2, colour=0.55)), skipped=dict(knn_video='no labels')
    )
    for form in ('text', 'markdown', 'html'):
        t = score_table(s, form)
        for word in ('0.50', '0.04', '0.08', '600', 'colour', '0.55', 'no labels'):
            assert word in t, (form, word)
    assert minmax(np.ones(3)).tolist() == [0, 0, 0]


def test_tables_keep_the_random_network_and_show_what_n_allows():
    base = {f'b{k}': 0.9 - k / 100 for k in range(5)} | dict(untrained=0.12345)
    many, little = (Score(0.51234, 0.01234, 0.25, n, base, spread=dict(untrained=(0.01234, 3))) for n in (3783, 600))
    for form in ('text', 'latex'):
        t = score_table(dict(a=many, b=little), form)
        assert (
            'untrained 0.123 (sd 0.012 of 3)' in t
            and 'untrained 0.12 (sd 0.01 of 3)' in t
            and '2 more' in t
            and '0.512' in t
            and '0.51 ' in t
        )
    assert ' 2 more' not in score_table(dict(a=many), 'markdown')


few = arrays(np.float64, (3, 6), elements=st.integers(0, 3).map(float))


@given(few, arrays(bool, (3, 6)), st.integers(1, 6), st.integers(0, 99))
def test_found_within_is_what_lots_give(cosine, right, k, seed):
    counts, gen = _first_right(cosine, right), np.random.default_rng(seed)
    hits = np.zeros(3)
    for _ in range(300):
        order = np.argsort(-(cosine + gen.random(cosine.shape) * 1e-3), 1)[:, :k]  # ties broken by lot
        hits += np.take_along_axis(right, order, 1).any(1)
    assert np.abs(hits / 300 - _found_within(k, *counts)).max() < 0.16  # five standard errors


@given(
    points,
    points,
    st.lists(st.integers(0, 2), min_size=8, max_size=8),
    st.lists(st.integers(0, 2), min_size=8, max_size=8),
    st.booleans(),
    st.integers(1, 40),
)
def test_retrieval_from_another_split(q, g, qy, gy, cosine, most):
    q, g = q + np.arange(24).reshape(8, 3) / 97, g + np.arange(24)[::-1].reshape(8, 3) / 89  # no ties
    with mock.patch.object(metrics.blocks, '__defaults__', (most,)):
        got = retrieval(q, g, qy, gy, (1, 2, 8), cosine=cosine)
        own = _own_rank(q, g)
    for a, b in zip(own, _own_rank(q, g)):
        assert (a == b).all()  # in blocks or at once
    ranks = []
    for x, y in zip(q, qy):
        near = [-(x @ z) / np.linalg.norm(z) if cosine else np.square(x - z).sum() for z in g]
        ranks.append(next((i + 1 for i, j in enumerate(np.argsort(near, kind='stable')) if gy[j] == y), 9))
    for k in (1, 2, 8):
        assert got[f'r{k}'].value == pytest.approx(np.mean([r <= k for r in ranks]))
    assert got['median_rank'] == np.median(ranks) and got['mrr'].value == pytest.approx(np.mean(1 / np.array(ranks)))
    assert got['r1'].value <= got['mrr'].value and got['r1'].chance <= got['r2'].chance


@given(st.integers(2, 40), st.integers(0, 999))
def test_detection_is_the_published_loop(n, seed):
    gen = np.random.default_rng(seed)
    there = gen.random(n) < 0.6
    there[:2] = True, False
    conf, over = np.round(gen.random(n), 1), gen.random(n)  # ties

    def loop(t):
        tp, fp, fn = (
            sum(f)
            for f in zip(
                *[
                    (c >= t and s and o >= 0.5, c >= t and not (s and o >= 0.5), c < t and s)
                    for c, o, s in zip(conf, over, there)
                ]
            )
        )
        return (tp / (tp + fp) if tp + fp else 1.0), (tp / (tp + fn) if tp + fn else 1.0)

    PR = [loop(t) for t in np.sort(conf)[:-1][::-1]]
    got = detection(conf, over, there)
    assert got['ap'] == pytest.approx(
        sum(max(p for p, _ in PR[i:]) * (PR[i + 1][1] - PR[i][1]) for i in range(len(PR) - 1))
    )
    assert got['max_f1'] == pytest.approx(max(2 * p * r / (p + r) if p + r else 0 for p, r in PR)) and got[
        'precision'
    ] == pytest.approx(loop(-1)[0])


@given(st.lists(st.tuples(levels, levels, levels, levels), min_size=1, max_size=4), st.integers(1, 3))
def test_truth_map_counts_votes(b, votes):
    boxes = [[min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)] for x0, y0, x1, y1 in b]
    slow = np.zeros((16, 16))
    for x0, y0, x1, y1 in boxes:
        for y in range(int(16 * y0), int(16 * y1)):
            for x in range(int(16 * x0), int(16 * x1)):
                slow[y, x] += 1
    assert (truth_map(boxes, votes, 16) == np.minimum(slow / votes, 1)).all()
    assert confidence(np.arange(16.0).reshape(4, 4)) == 13.5


@given(st.lists(st.sampled_from('abc'), min_size=1, max_size=30), st.integers(1, 5), st.integers(0, 9))
def test_draws_take_n_of_each_class(y, n, draw):
    y = np.array(y)
    at = _draw_shots(y, n, draw)
    assert len(set(at)) == len(at) and all((y[at] == c).sum() == min(n, (y == c).sum()) for c in set(y))
    assert (_draw_shots(y, n, draw) == at).all()


def test_folds_and_splits():
    import pandas as pd

    fold = np.repeat(['1', '2', '3'], 4)
    t = pd.DataFrame(dict(fold=fold, split=np.where(fold == '2', 'test', 'train')))
    assert {k: te.tolist() for k, (_, te) in folds_of(t).items()} == {
        '1': [0, 1, 2, 3],
        '2': [4, 5, 6, 7],
        '3': [8, 9, 10, 11],
    }
    assert list(folds_of(t.assign(split=['train', 'test'] * 6))) == [
        'test'
    ]  # a split that is no fold is taken as it is
    s = mean_over_splits([Score(0.5, 0.1, 0.1, 10, dict(untrained=0.2)), Score(0.7, 0.1, 0.1, 10, dict(untrained=0.4))])
    assert (s.value, s.n, s.spread['value']) == (pytest.approx(0.6), 20, (pytest.approx(0.1), 2)) and s.baselines[
        'untrained'
    ] == pytest.approx(0.3)
    assert s.error == pytest.approx(0.1 / 2**0.5)
