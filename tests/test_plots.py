"""Maps are drawn where they belong, figures are closed, and errors say what to do."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from toy_clips import small_clip

from avnb import plots
from avnb.media import Clip
from avnb.runs import RunError


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
    FigureCanvasAgg(fig).draw()
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


def test_quantiles_of_histograms_and_a_run_without_them(tmp_path):
    g = np.random.default_rng(0)
    edges = np.arange(-40, 40) * 0.025
    for _ in range(10):
        x = np.clip(g.normal(g.uniform(-0.5, 0.5), g.uniform(0.05, 0.3), 3000), -0.999, 0.999)
        counts = np.histogram(x, np.append(edges, 1))[0]
        assert np.allclose(plots._bin_quantiles(counts[None], edges)[:, 0], np.quantile(x, [0.1, 0.5, 0.9]), atol=0.02)
    assert np.isnan(plots._bin_quantiles(np.zeros((1, 80)), edges)).all()
    with pytest.raises(RunError, match='histograms.csv'):
        plots.show_instruments(tmp_path)
