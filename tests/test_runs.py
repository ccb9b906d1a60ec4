"A run's folder is read while it is written, by another process, and after something went wrong."

import numpy as np
import pandas as pd
import pytest
import torch

from avnb import runs


@pytest.fixture
def folder(tmp_path):
    "A run that is being written: the last line of each file is half there."
    (tmp_path / 'log.csv').write_text('step,epoch,loss,note\n10,0,4.5,a\n20,0,nan,b\n30,1,3.')
    (tmp_path / 'monitors.csv').write_text('step,epoch,name,value\n20,0,auroc,0.61\n40,1,auroc,0.74\n60,2,au')
    (tmp_path / 'ledger.csv').write_text('id,path,reason,count\nNA,a.mp4,torn,3\nb,b.mp4,"no, sound",\nc,c.')
    return tmp_path


def test_curves_are_made_of_whole_lines(folder):
    curves = runs.curves_of(folder)
    assert set(curves) == {'loss', 'auroc'}
    assert np.array_equal(curves['loss'], [[10, 20], [4.5, np.nan]], equal_nan=True)
    assert np.array_equal(curves['auroc'], [[20, 40], [0.61, 0.74]])


def test_ledger_keeps_ids_as_they_are(folder):
    t = runs.read_ledger(folder / 'ledger.csv')
    assert t.to_dict('list') == dict(
        id=['NA', 'b'], path=['a.mp4', 'b.mp4'], reason=['torn', 'no, sound'], count=[3, 1]
    )
    (folder / 'ledger.csv').write_text('id,path\nx,x.mp4\n')
    assert runs.read_ledger(folder / 'ledger.csv').to_dict('records') == [
        dict(id='x', path='x.mp4', reason='', count=1)
    ]
    (folder / 'ledger.csv').unlink()
    t = runs.read_ledger(folder / 'ledger.csv')
    assert list(t) == ['id', 'path', 'reason', 'count'] and not len(t)


@pytest.mark.parametrize('text', ['', 'half', 'step,epoch,loss\n', '\xff\xfe,\n\x00'])
def test_a_folder_without_numbers_has_no_curves(tmp_path, text):
    (tmp_path / 'log.csv').write_text(text)
    assert runs.curves_of(tmp_path) == {} and runs.curves_of(tmp_path / 'nowhere') == {}


@pytest.mark.parametrize('read', ['read_log', 'read_report', 'read_scores', 'read_histograms'])
def test_what_is_missing_is_a_run_error(tmp_path, read):
    with pytest.raises(runs.RunError):
        getattr(runs, read)(tmp_path / 'none.csv')


@pytest.mark.parametrize('rows', [None, (0, 9), (0, 3), (3, 9), (5, 7), (0, 0), (8, 9)])
@pytest.mark.parametrize('parts', [1, 2, 4])
def test_any_rows_of_a_checkpoint_in_any_number_of_parts(tmp_path, rows, parts):
    whole = dict(video=torch.randn(9, 2), audio=torch.randn(9, 2), written=torch.arange(9) < 5)
    path = tmp_path / 'checkpoints/step-00000004.pt'
    if parts == 1:
        runs.write_checkpoint(path, dict(step=4, bank=whole, objective=dict(whole, mean=0.5)))
    else:
        for k, file in enumerate(runs._part_names(path, parts)):
            part = {name: x[k * 9 // parts : (k + 1) * 9 // parts] for name, x in whole.items()}
            runs.write_checkpoint(file, dict(bank=part, objective=dict(part, mean=0.5)))
        runs.write_checkpoint(path, dict(step=4, parts=parts))
    _, state = runs.newest_checkpoint(tmp_path, rows=rows)
    assert state['step'] == 4 and state['objective']['mean'] == 0.5
    for tables in (state['bank'], state['objective']):
        assert all(tables[k].equal(x[slice(*rows or (0, 9))]) for k, x in whole.items())


def test_runs_of_one_name_are_told_apart(tmp_path):
    for name in ('a/first', 'a/second', 'b/first'):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / 'config.toml').touch()
    assert sorted(r.name for r in runs.find_runs(tmp_path / 'a')) == ['first', 'second']
    assert [r.name for r in runs.find_runs([tmp_path / 'a/first', tmp_path / 'b/first'])] == ['a/first', 'b/first']


def test_stale_files_go_and_a_locked_folder_stays_locked(tmp_path):
    (tmp_path / 'checkpoints').mkdir()
    for name in ('.step-00000500.pt.1.tmp', 'rows-00000500-0-of-2.pt', 'rows-00000400-0-of-2.pt', 'step-00000400.pt'):
        (tmp_path / 'checkpoints' / name).touch()
    with runs.lock_run_folder(tmp_path):
        with pytest.raises(runs.RunError, match='another process'):
            with runs.lock_run_folder(tmp_path):
                pass
        names = sorted(p.name for p in (tmp_path / 'checkpoints').iterdir())
    assert names == ['rows-00000400-0-of-2.pt', 'step-00000400.pt']


def test_a_log_goes_on_after_its_checkpoint(tmp_path):
    log = runs.Log(tmp_path, 0, 0)
    for k in (10, 20, 30):
        log.write(dict(step=k, epoch=k // 20, loss=0.5))
        log.log_scalars(k, k // 20, dict(auroc=0.7))
    runs.Log(tmp_path, 20, 0).write(dict(step=20, epoch=1, loss=0.25))
    assert pd.read_csv(tmp_path / 'log.csv').step.tolist() == [10, 20]
    assert runs.read_monitors(tmp_path / 'monitors.csv')['auroc'][0].tolist() == [10]
