"""What a picture must keep: pages that need nothing and run nothing, videos a browser plays, maps drawn where they belong."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest

from avnb import plots
from avnb.media import Clip

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)> ${title} $x^{ & 'quoted'"


def small_clip(T=8, h=24, w=32, fps=8.0, rate=8000, audio=True):
    gen = np.random.default_rng(0)
    frames = gen.integers(0, 255, (T, h, w, 3), dtype='uint8')
    return Clip(
        frames,
        (0.2 * np.sin(np.arange(int(T / fps * rate)) / 5)).astype('float32'),
        fps,
        rate,
        0.0,
        'clip.mp4',
        'clip',
        has_audio=audio,
    )


class Tags(HTMLParser):
    "Every tag and attribute of a page."

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    "A run's folder in which every name is hostile."
    folder = tmp_path_factory.mktemp('run <b>&')
    score = dict(value=0.6, error=0.05, chance=0.1, n=100, baselines={HOSTILE: 0.3, 'none': None}, note=HOSTILE)
    (folder / 'report.json').write_text(
        json.dumps({'linear_video': score, HOSTILE: score, 'made_with': 'x', 'odd': dict(value=None)})
    )
    (folder / 'log.csv').write_text(
        'step,epoch,loss,lr,"<i>$a$"\n' + ''.join(f'{i},0,{5 - i / 50},0.001,{i}\n' for i in range(60))
    )
    (folder / 'ledger.csv').write_text('id,path,reason,count\n"{0}","{0}","{0}",2\n'.format(HOSTILE.replace('"', '""')))
    (folder / 'config.toml').write_text('[model]\nnet = ' + json.dumps(HOSTILE) + '\n[weight]\ndelta = 0.5\n')
    (folder / 'manifest.csv').write_text('id,split\na,train\nb,test\nc,train\n')
    clip = small_clip()
    for name in ('a.mp4', 'b <img src=x onerror=alert(3)>.mp4'):
        plots.overlay_video(folder / 'overlays' / name, clip, np.random.default_rng(1).random((4, 3, 3)), short=64)
    (folder / 'overlays' / 'captions.json').write_text(json.dumps({'a.mp4': HOSTILE}))
    return folder


def test_page_is_self_contained_and_inert(run):
    page = plots.run_page(run, np.linspace(-0.2, 0.9, 50), ['none'] * 25 + ['wrong_track'] * 25)
    text = page.read_text(encoding='utf-8')
    tags = Tags(text).tags
    assert not {t for t, _ in tags} & {'script', 'iframe', 'object', 'embed', 'link', 'form', 'base', 'i', 'svg'}
    assert not [a for _, at in tags for a in at if a.startswith('on')]
    addresses = [at[k] for _, at in tags for k in ('src', 'srcset', 'href', 'poster') if k in at]
    assert (
        len([t for t, _ in tags if t == 'video']) == 2
        and len(addresses) >= 8
        and all(a.startswith('data:') for a in addresses)
    )
    csp = [at['content'] for t, at in tags if t == 'meta' and at.get('http-equiv') == 'Content-Security-Policy']
    assert csp and "default-src 'none'" in csp[0] and 'script' not in csp[0]
    assert 'saw 2 clips' in text and '&lt;script&gt;' in text and len(text) < 12e6
    assert str(run) not in text, 'a page that is handed on must not show where it was made'
    videos = [at for t, at in tags if t == 'video']
    assert all('controls' in v and 'loop' in v and 'autoplay' not in v for v in videos)


def test_page_keeps_to_its_size(run):
    text = plots.run_page(run, budget_mb=0.02).read_text()
    assert '<video' not in text and '2 more in overlays/' in text


def test_page_of_an_empty_run(tmp_path):
    text = plots.run_page(tmp_path).read_text()
    assert 'avnb evaluate' in text and 'Every clip could be read' in text
    with pytest.raises(plots.PlotError, match='folder'):
        plots.run_page(tmp_path / 'no')
    (tmp_path / 'config.toml').write_text('not = = toml')
    with pytest.raises(plots.PlotError, match='TOML'):
        plots.run_page(tmp_path)


def test_page_survives_an_unreadable_overlay(run, tmp_path):
    (tmp_path / 'overlays').mkdir()
    (tmp_path / 'overlays' / 'x.mp4').write_bytes(b'nothing')
    assert 'cannot be shown' in plots.run_page(tmp_path).read_text()


@pytest.mark.parametrize('audio', [True, False])
@pytest.mark.parametrize('h,w', [(24, 32), (33, 21)])
def test_overlay_video_plays_in_browsers(tmp_path, audio, h, w):
    import av

    clip = small_clip(h=h, w=w, audio=audio)
    maps = np.random.default_rng(0).random((2, 3, 3))
    path = plots.overlay_video(
        tmp_path / 'o.mp4', clip, {'one': maps, 'two': maps}, boxes=[0.1, 0.1, 0.5, 0.5], title=HOSTILE
    )
    with av.open(str(path)) as f:
        v = f.streams.video[0]
        n = sum(1 for _ in f.decode(video=0))
        assert (v.codec_context.name, v.codec_context.pix_fmt) == (
            'h264',
            'yuv420p',
        ) and v.width % 2 == v.height % 2 == 0
        assert v.width >= 3 * 256 and n == 24 and v.average_rate == 24 and abs(float(f.duration) / 1e6 - 1) < 0.1
        assert [s.codec_context.name for s in f.streams.audio] == (['aac'] if audio else [])
    assert path.read_bytes().find(b'moov') < path.read_bytes().find(b'mdat'), (
        'a browser should start before the whole file is there'
    )
    assert sorted(x.name for x in tmp_path.iterdir()) == ['o.mp4']


def test_overlay_video_carries_the_sound_in_time(tmp_path):
    from avnb.media import read_clip

    clip = small_clip(T=16)
    clip.waveform[:] = 0
    clip.waveform[8000:8400] = 0.8 * np.sin(np.arange(400))
    path = plots.overlay_video(tmp_path / 'o.mp4', clip, np.ones((1, 2, 2)), short=64)
    heard = read_clip(path, 0.0, 2.0, rate=8000).waveform
    assert abs(np.average(np.arange(len(heard)), weights=heard**2) / 8000 - 1.025) < 0.06


def test_line_in_time_and_panels():
    clip = small_clip(T=16)
    maps = np.zeros((1, 2, 2))
    draw = plots.Overlay(clip, {'clip': None, 'map': maps}, short=64)
    y0, y1, x0, x1 = draw.strip_at
    where = [np.flatnonzero((draw(t)[y0:y1] == 255).all(-1).all(0)).mean() for t in (0.0, 0.5, 1.0, 1.99)]
    assert np.allclose((np.array(where) - x0) / (x1 - x0), [0, 0.25, 0.5, 0.995], atol=2 / (x1 - x0))
    y, x = draw.corners[0]
    want = plots.enlarge(clip.frames[4], draw.size)
    assert np.array_equal(draw(0.5)[y : y + draw.size[0], x : x + draw.size[1]], want)


def test_nan_leaves_the_picture_alone():
    gen = np.random.default_rng(0)
    frames = gen.integers(0, 255, (3, 12, 10, 3), dtype='uint8')
    maps = gen.random((3, 12, 10))
    maps[:, :4] = np.nan
    out = plots.overlay(frames, plots.normalise(maps))
    assert np.array_equal(out[:, :4], frames[:, :4]) and (out[:, 4:] != frames[:, 4:]).any(-1).mean() > 0.9
    assert np.array_equal(plots.overlay(frames, np.full((3, 12, 10), np.nan)), frames)


def test_normalise_per_clip_and_per_frame():
    maps = np.stack([np.eye(3), 4 * np.eye(3), np.zeros((3, 3))])
    assert plots.normalise(maps).max((1, 2)).tolist() == [0.25, 1, 0]
    assert plots.normalise(maps, 'frame').max((1, 2)).tolist() == [1, 1, 0]
    assert np.isnan(plots.normalise(np.full((1, 2, 2), np.nan))).all()
    assert plots.normalise(np.array([[[0, np.inf, 1]]])).tolist() == [[[0, 1, 1]]]


def test_figures_are_closed_and_settings_restored(tmp_path):
    import matplotlib.pyplot as plt

    before = dict(plt.rcParams)
    clip = small_clip()
    report = {'m': dict(value=0.5, error=0.1, chance=0.1, n=9, baselines={})}
    with plots.style(plots.DARK):
        boxes = [[0.1, 0.2, 0.3, 0.4]] * 7 + [None]
        figs = [
            plots.show_clip(clip),
            plots.show_clip(small_clip(audio=False), boxes=boxes),
            plots.show_scores(report),
            plots.show_curves(dict(step=[1.0, 2.0], loss=[2.0, np.nan])),
            plots.show_weights(np.full(5, 0.3)),
            plots.show_weights([0.1, 0.2], [0.3, 0.9]),
            plots.show_attention(clip.frames, np.ones((1, 1, 1))),
            plots.show_spectrogram(np.zeros((1, 4)), np.arange(4) * 100.0, [0.0]),
        ]
    for i, f in enumerate(figs):
        f.savefig(tmp_path / f'{i}.png')
    assert not plt.get_fignums() and dict(plt.rcParams) == before


@pytest.mark.parametrize(
    'call,word',
    [
        (lambda: plots.overlay(np.zeros((4, 4, 3), 'uint8'), np.zeros((2, 2))), 'fit_maps'),
        (lambda: plots.show_spectrogram(np.zeros((3, 4)), np.arange(3), np.arange(4)), 'expected'),
        (lambda: plots.show_weights([]), 'bank'),
        (lambda: plots.show_weights([0.1, 0.2], faulty=[True]), 'faulty'),
        (lambda: plots.show_scores({}), 'evaluate'),
        (lambda: plots.normalise(np.zeros((1, 2, 2)), 'pixel'), "'frame'"),
        (
            lambda: plots.show_clip(
                Clip(np.zeros((0, 4, 4, 3), 'uint8'), np.zeros(9, 'float32'), 8.0, 8000, 0.0, 'a', 'a')
            ),
            'frame',
        ),
    ],
)
def test_errors_say_what_to_do(call, word):
    with pytest.raises(plots.PlotError, match=word):
        call()


def test_figures_fit_a_column():
    fig = plots.for_column(
        plots.show_weights(np.random.default_rng(0).normal(size=200), faulty=[True, False] * 100, title='x')
    )
    plots.FigureCanvasAgg(fig).draw()
    texts = [
        t
        for ax in fig.axes
        for t in (ax.xaxis.label, ax.yaxis.label, *(ax.get_legend().get_texts() if ax.get_legend() else []))
        if t.get_text()
    ]
    boxes = [t.get_window_extent() for t in texts]
    assert fig.get_size_inches()[0] == 5 and len(texts) >= 6 and min(t.get_fontsize() for t in texts) >= 9
    assert all(-1 <= b.x0 and b.x1 <= fig.bbox.x1 + 1 and -1 <= b.y0 and b.y1 <= fig.bbox.y1 + 1 for b in boxes), [
        (t.get_text(), b.extents) for t, b in zip(texts, boxes)
    ]


# -- studies and instruments -------------------------------------------------------------------------------------------


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
    d, half, n = plots.paired(t, 'linear_video', 'weighted', 'xid')
    assert (
        n == 10 and abs(d - 0.05) < 0.02 and half < 0.02 < t[t.method == 'xid'].value.std()
    )  # the luck of a seed cancels
    back = plots.paired(t.sample(frac=1, random_state=1), 'linear_video', 'xid', 'weighted')
    assert np.isclose(back[0], -d) and np.isclose(back[1], half)
    assert plots.paired(t, 'linear_video', 'nobody', 'xid')[2] == 0 and np.isnan(
        plots.paired(t[t.seed == 3], 'linear_video', 'weighted', 'xid')[1]
    )
    few = t[~((t.method == 'weighted') & (t.seed > 2))]
    assert plots.paired(few, 'linear_video', 'weighted', 'xid')[2] == 3


@pytest.mark.parametrize('seed', range(6))
def test_study_that_is_partly_filled_is_drawn_as_far_as_it_goes(seed):
    import pandas as pd

    g = np.random.default_rng(seed)
    t = study(seed=seed)
    extra = t[t.method == 'xid'].assign(method='baseline_centre', value=0.2)
    t = pd.concat([t, extra])
    t = t[g.random(len(t)) < 0.4]
    fig = plots.show_study(t, ['linear_video', 'pointing_guided'], title=HOSTILE)
    fig.canvas.draw()
    dots = sum(len(l.get_xdata()) for ax in fig.axes for l in ax.lines if l.get_alpha() == 0.4)
    assert dots == (~t.method.str.startswith('baseline')).sum(), 'every seed is a dot'


def test_study_says_what_may_be_claimed():
    said = lambda t, **k: plots.show_study(t, 'linear_video', **k).get_suptitle()
    import pandas as pd

    both = study(3, 'confirm')
    mixed = pd.concat([both, study(2, 'dev')])
    assert '3 fresh seeds' in said(mixed) and 'development' not in said(mixed)
    assert '2 seeds' in said(mixed, phase='dev') and 'nothing is claimed' in said(mixed, phase='dev')
    two = pd.concat([both, both.assign(classes=9, value=both.value + 1)])
    assert (
        len(plots.read_study(two, classes=9)) == len(both)
        and plots.read_study(two, classes=9).value.min() > both.value.min()
    )
    with pytest.raises(plots.PlotError, match='has not been run'):
        plots.show_study('nowhere.csv')
    with pytest.raises(plots.PlotError, match='dev'):
        plots.show_study(both[:0])
    with pytest.raises(plots.PlotError, match='pointing_guided'):
        plots.show_study(both, 'no_such_metric')


def test_study_says_how_few_seeds_there_are_at_least():
    t = study(10)
    said = lambda t: plots.show_study(t, 'linear_video').get_suptitle()
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
    fig = plots.show_study(t, 'linear_video')
    fig.canvas.draw()
    ax = fig.axes[0]
    low, high = ax.get_xlim()
    assert (0 <= low and high <= 1) == (lift <= 1) and high > max(0.5, lift)
    arrows = {l.get_marker(): l.get_xdata()[0] for l in ax.lines if l.get_marker() in ('<', '>') and len(l.get_xdata())}
    assert arrows == {'<': low, '>': high} and 'the interval goes on' in [
        w.get_text() for w in fig.legends[0].get_texts()
    ]
    assert all(low <= x <= high for l in ax.lines if l.get_marker() in 'os' for x in l.get_xdata())
    many = plots.show_study(study(10), 'linear_video')
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
    fig = plots.show_study(t, metrics, methods=methods)
    plots.FigureCanvasAgg(fig).draw()
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
        plots.method_name(m)
        for m in (
            'both',
            'both:local',
            'r1:cmac.local_max=0.5',
            'both:local,l2',
            'visual:local',
            'both:cmac.local_max=0.3',
            'new_one:local',
        )
    ] == [
        'CMAC-R',
        'CMAC-R + cell contrast',
        'xID + R1 + cell contrast',
        'CMAC-R + cell contrast, l2',
        'CMAC-R, visual only + cell contrast',
        'CMAC-R, local_max 0.3',
        'new one + cell contrast',
    ]


def test_quantiles_of_histograms_and_a_run_without_them(tmp_path):
    g = np.random.default_rng(0)
    edges = np.arange(-40, 40) * 0.025
    for _ in range(10):
        x = np.clip(g.normal(g.uniform(-0.5, 0.5), g.uniform(0.05, 0.3), 3000), -0.999, 0.999)
        counts = np.histogram(x, np.append(edges, 1))[0]
        assert np.allclose(plots.bin_quantiles(counts[None], edges)[:, 0], np.quantile(x, [0.1, 0.5, 0.9]), atol=0.02)
    assert np.isnan(plots.bin_quantiles(np.zeros((1, 80)), edges)).all()
    with pytest.raises(plots.PlotError, match='histograms.csv'):
        plots.show_instruments(tmp_path)
