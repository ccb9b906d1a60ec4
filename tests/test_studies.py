"""Studies are compared by seed, drawn as far as they are filled, and say what may be claimed."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from toy_clips import HOSTILE

from avnb import studies
from avnb.plots import PlotError


def study(seeds=4, phase='confirm', methods=('xid', 'weighted', HOSTILE), doses=(0.0, 0.5), seed=0):
    "A study's table of random values; every method of a seed shares its luck."
    import pandas as pd

    g = np.random.default_rng(seed)
    luck = g.normal(0, 0.1, seeds)
    rows = [
        dict(
            phase=phase,
            faulty=f,
            classes=12,
            method=m,
            seed=s,
            metric=k,
            value=0.5 + luck[s] + 0.05 * i + g.normal(0, 0.01),
            n=2000,
        )
        for f in doses
        for i, m in enumerate(methods)
        for s in range(seeds)
        for k in ('linear_video', 'pointing_guided')
    ]
    return pd.DataFrame(rows)


def test_paired_difference_is_by_seed_and_not_by_group():
    t = study(seeds=10, doses=(0.5,))
    d, half, n = studies.paired(t, 'linear_video', 'weighted', 'xid')
    assert (
        n == 10 and abs(d - 0.05) < 0.02 and half < 0.02 < t[t.method == 'xid'].value.std()
    )  # the luck of a seed cancels
    back = studies.paired(t.sample(frac=1, random_state=1), 'linear_video', 'xid', 'weighted')
    assert np.isclose(back[0], -d) and np.isclose(back[1], half)
    assert studies.paired(t, 'linear_video', 'nobody', 'xid')[2] == 0 and np.isnan(
        studies.paired(t[t.seed == 3], 'linear_video', 'weighted', 'xid')[1]
    )
    few = t[~((t.method == 'weighted') & (t.seed > 2))]
    assert studies.paired(few, 'linear_video', 'weighted', 'xid')[2] == 3


@pytest.mark.parametrize('seed', range(6))
def test_study_that_is_partly_filled_is_drawn_as_far_as_it_goes(seed):
    import pandas as pd

    g = np.random.default_rng(seed)
    t = study(seed=seed)
    extra = t[t.method == 'xid'].assign(method='baseline_centre', value=0.2)
    t = pd.concat([t, extra])
    t = t[g.random(len(t)) < 0.4]
    fig = studies.show_study(t, ['linear_video', 'pointing_guided'], title=HOSTILE)
    fig.canvas.draw()
    dots = sum(len(l.get_xdata()) for ax in fig.axes for l in ax.lines if l.get_alpha() == 0.4)
    assert dots == (~t.method.str.startswith('baseline')).sum(), 'every seed is a dot'


def test_study_says_what_may_be_claimed():
    said = lambda t, **k: studies.show_study(t, 'linear_video', **k).get_suptitle()
    import pandas as pd

    both = study(3, 'confirm')
    mixed = pd.concat([both, study(2, 'dev')])
    assert '3 fresh seeds' in said(mixed) and 'development' not in said(mixed)
    assert '2 seeds' in said(mixed, phase='dev') and 'nothing is claimed' in said(mixed, phase='dev')
    two = pd.concat([both, both.assign(classes=9, value=both.value + 1)])
    assert (
        len(studies.read_study(two, classes=9)) == len(both)
        and studies.read_study(two, classes=9).value.min() > both.value.min()
    )
    with pytest.raises(PlotError, match='has not been run'):
        studies.show_study('nowhere.csv')
    with pytest.raises(PlotError, match='dev'):
        studies.show_study(both[:0])
    with pytest.raises(PlotError, match='pointing_guided'):
        studies.show_study(both, 'no_such_metric')


def test_study_says_how_few_seeds_there_are_at_least():
    t = study(10)
    said = lambda t: studies.show_study(t, 'linear_video').get_suptitle()
    assert (
        said(t).startswith('10 fresh seeds')
        and said(t[(t.faulty == 0.5) | (t.seed < 4)]).startswith('4 to 10 fresh seeds')
        and said(t[t.seed < 1]).startswith('1 fresh seed,')
    )
    assert said(t[(t.method != 'weighted') | (t.seed < 6)]).startswith('6 to 10 fresh seeds')


@pytest.mark.parametrize('lift', [0.0, 0.3, 3.0])
def test_study_of_shares_stays_below_one_and_an_interval_that_runs_out_gets_an_arrow(lift):
    t = study(2, methods=('xid', 'weighted'), doses=(0.5,))
    x = (t.method == 'weighted') & (t.seed == 1)
    t.loc[x, 'value'] += max(0.3, lift)
    t['value'] = t.value + lift if lift > 1 else np.minimum(t.value + lift, 1.0)
    fig = studies.show_study(t, 'linear_video')
    fig.canvas.draw()
    ax = fig.axes[0]
    low, high = ax.get_xlim()
    assert (0 <= low and high <= 1) == (lift <= 1) and high > max(0.5, lift)
    arrows = {l.get_marker(): l.get_xdata()[0] for l in ax.lines if l.get_marker() in ('<', '>') and len(l.get_xdata())}
    assert arrows == {'<': low, '>': high} and 'the interval goes on' in [
        w.get_text() for w in fig.legends[0].get_texts()
    ]
    assert all(low <= x <= high for l in ax.lines if l.get_marker() in 'os' for x in l.get_xdata())
    many = studies.show_study(study(10), 'linear_video')
    assert not [l for l in many.axes[0].lines if l.get_marker() in ('<', '>')] and len(many.legends[0].get_texts()) == 3


def test_study_of_attention_is_legible_with_every_method_named():
    import pandas as pd

    methods = ['xid', 'xid:local', 'r1', 'r1:local', 'visual', 'frequency', 'both', 'robust_both']
    metrics = ['pointing_vision_only', 'frequency_hit_sound_only', 'pointing_guided']
    t = study(10, methods=methods, doses=(0.0, 0.4))
    t = pd.concat(
        [t[t.metric == 'linear_video'].assign(metric=m, value=lambda x: x.value.clip(upper=1)) for m in metrics]
    )
    t = pd.concat(
        [
            t,
            *(
                t[t.method == 'xid'].assign(method=b, value=0.1 + 0.05 * k)
                for k, b in enumerate(
                    ('baseline_random', 'baseline_centre', 'baseline_frame_difference', 'untrained', 'ceiling')
                )
            ),
        ]
    )
    fig = studies.show_study(t, metrics, methods=methods)
    FigureCanvasAgg(fig).draw()
    names = [w.get_text() for w in fig.axes[0].get_yticklabels()]
    assert (
        names[:4] == ['xID', 'xID + cell contrast', 'xID + R1', 'xID + R1 + cell contrast']
        and 'baseline frame difference' in names
    )
    for texts in ([ax.title for ax in fig.axes], fig.axes[0].get_yticklabels(), fig.legends[0].get_texts()):
        boxes = [w.get_window_extent() for w in texts]
        assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)] and all(
            -1 <= b.x0 and b.x1 <= fig.bbox.x1 + 1 for b in boxes
        ), [(w.get_text(), b.extents) for w, b in zip(texts, boxes)]


def test_settings_in_names():
    assert [
        studies.method_name(m)
        for m in (
            'both',
            'both:local',
            'r1:cmac.cell_contrast=0.5',
            'both:local,l2',
            'visual:local',
            'both:cmac.cell_contrast=0.3',
            'new_one:local',
        )
    ] == [
        'CMAC-R',
        'CMAC-R + cell contrast',
        'xID + R1 + cell contrast',
        'CMAC-R + cell contrast, l2',
        'CMAC-R, visual only + cell contrast',
        'CMAC-R, cell_contrast 0.3',
        'new one + cell contrast',
    ]
