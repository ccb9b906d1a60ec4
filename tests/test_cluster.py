"Indexing and packing on a dask cluster (a small one, in this process or beside it) give what one process gives."

import warnings

import numpy as np
import pytest

from avnb.cli import main
from avnb.index import in_parallel, index_folder
from avnb.manifest import ManifestError
from avnb.media import write_clip
from avnb.packed import pack, verify

HOW = dict(seconds=1.0, fps=8.0, size=32, rate=8000, chunk=3)


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    "Eight small videos, one of them rubbish."
    folder, g = tmp_path_factory.mktemp('videos'), np.random.default_rng(1)
    for k in range(7):
        write_clip(
            folder / f'{k}.mp4',
            g.integers(0, 255, (10, 32, 32, 3), np.uint8),
            (0.2 * g.standard_normal(10000)).clip(-1, 1).astype(np.float32),
            8,
            8000,
        )
    (folder / '7.mp4').write_text('rubbish ' * 99)
    return folder


@pytest.fixture(scope='module')
def cluster():
    "A scheduler and two workers as threads of this process."
    distributed = pytest.importorskip('distributed')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as c:
            yield c.scheduler_address


def test_index_and_both_layouts_are_the_same_on_a_cluster(videos, cluster, tmp_path):
    here, there = (
        index_folder(videos, tmp_path / f'{e[:4]}.csv', seconds=0.5, workers=1, engine=e)
        for e in ('local', f'dask={cluster}')
    )
    assert (
        here.hash == there.hash
        and (tmp_path / 'loca.csv').read_bytes() == (tmp_path / 'dask.csv').read_bytes()
        and len(here) > 8
    )
    m = index_folder(videos, tmp_path / 'whole.csv', workers=1)
    for layout in ('raw', 'shards'):
        a, b = (
            pack(m, tmp_path / f'{layout}-{e[:4]}', layout=layout, workers=1, engine=e, **HOW).folder
            for e in ('local', f'dask={cluster}')
        )
        names = sorted(f.name for f in a.iterdir() if f.name != 'journal.jsonl')  # whose lines come as chunks are done
        assert names == sorted(f.name for f in b.iterdir() if f.name != 'journal.jsonl') and all(
            (a / n).read_bytes() == (b / n).read_bytes() for n in names
        )
        assert verify(b, engine=f'dask={cluster}') == []


def test_an_engine_that_is_not_there_is_said(videos, tmp_path):
    import dask
    import distributed  # noqa: F401 (the first registers its settings)

    with pytest.raises(ManifestError, match="engine 'abacus' cannot be used"):
        list(in_parallel(len, ['a', 'bb'], engine='abacus'))
    with (
        dask.config.set({'distributed.comm.timeouts.connect': '1s'}),
        pytest.raises(ManifestError, match='cannot be used'),
    ):
        index_folder(videos, tmp_path / 'x.csv', engine='dask=tcp://127.0.0.1:9')


def test_an_error_in_a_job_and_every_result_come_back(cluster):
    for engine in ('local', 'threading', f'dask={cluster}'):
        assert sorted(in_parallel(len, ['', 'a', 'bb'], 2, engine)) == [(0, 0), (1, 1), (2, 2)]
        with pytest.raises(TypeError):
            list(in_parallel(len, ['a', 3], 2, engine))


@pytest.mark.slow
def test_the_commands_on_a_cluster_of_processes(videos, tmp_path):
    distributed = pytest.importorskip('distributed')
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as c:
        engine = ['--engine', f'dask={c.scheduler_address}']
        assert main(['index', str(videos), '--out', str(tmp_path / 'm.csv'), *engine]) == 0
        assert (
            main(
                [
                    'pack',
                    str(tmp_path / 'm.csv'),
                    str(tmp_path / 'p'),
                    '--layout',
                    'shards',
                    '--seconds',
                    '1',
                    '--fps',
                    '8',
                    '--size',
                    '32',
                    '--rate',
                    '8000',
                    '--verify',
                    *engine,
                ]
            )
            == 0
        )
    assert len(list((tmp_path / 'p').glob('*.tar'))) == 1
