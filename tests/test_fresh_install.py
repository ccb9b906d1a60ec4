"A wheel, built from the source distribution, works in an environment of its own, away from the repository."

import json
import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from importlib.metadata import requires
from pathlib import Path

import pytest
from prepare import ROOT

pytestmark = pytest.mark.slow
MODULES = sorted(p.stem for p in (ROOT / 'avnb').glob('*.py') if not p.stem.startswith('_'))
LEFT_OUT = shutil.ignore_patterns(
    '.git',
    '.venv',
    'node_modules',
    'runs',
    'build',
    'dist',
    '*.egg-info',
    '__pycache__',
    '.pytest_cache',
    '.hypothesis',
)


def run(*command, cwd, seconds=600):
    "What a command prints; a failure shows both streams."
    env = {k: v for k, v in os.environ.items() if k not in ('PYTHONPATH', 'VIRTUAL_ENV')}
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=seconds)
    if done.returncode:
        pytest.fail(f'{" ".join(map(str, command))}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}', pytrace=False)
    return done.stdout


def environment(python, folder, *what):
    "The Python of a new environment in `folder` that holds what pip installs from `what`, and nothing else."
    run(python, '-m', 'venv', folder, cwd=folder.parent)
    new = folder / ('Scripts' if os.name == 'nt' else 'bin') / 'python'
    run(new, '-m', 'pip', 'install', '-q', '--disable-pip-version-check', *what, cwd=folder.parent, seconds=1400)
    return new


def required(wheel):
    "What a wheel requires, one string each."
    with zipfile.ZipFile(wheel) as z:
        (name,) = (f for f in z.namelist() if f.endswith('.dist-info/METADATA'))
        return Parser().parsestr(z.read(name).decode()).get_all('Requires-Dist')


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp('build')
    shutil.copytree(ROOT, folder / 'source', ignore=LEFT_OUT)
    run(sys.executable, '-c', 'from setuptools import build_meta; build_meta.build_sdist("..")', cwd=folder / 'source')
    (sdist,) = folder.glob('*.tar.gz')
    run(
        sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', '-w', folder, sdist, cwd=folder
    )
    return next(folder.glob('*.whl'))


@pytest.fixture(scope='module')
def python(wheel):
    yield environment(sys.executable, wheel.parent / 'fresh', wheel)
    shutil.rmtree(wheel.parent / 'fresh')  # 2 to 6 GB


def test_wheel_holds_the_package(wheel):
    files = set(zipfile.ZipFile(wheel).namelist())
    package = {
        p.relative_to(ROOT).as_posix()
        for p in (ROOT / 'avnb').rglob('*')
        if p.is_file() and '__pycache__' not in p.parts
    }
    assert package - files == set()
    assert [f for f in files if not f.startswith(('avnb/', 'avnb-'))] == []
    assert required(wheel) == requires('avnb'), 'other requirements than .venv was made with: run `make test`'
    assert any(f.endswith('licenses/LICENSE') for f in files)


def test_every_module_imports(python, tmp_path):
    code = f"import importlib, avnb; [importlib.import_module('avnb.' + m) for m in {MODULES}]; print(avnb.__file__)"
    assert Path(run(python, '-c', code, cwd=tmp_path).strip()).is_relative_to(python.parents[1])


def test_command_says_what_it_can(python, tmp_path):
    for command in [python.with_name('avnb')], [python, '-m', 'avnb']:
        assert 'demo' in run(*command, '--help', cwd=tmp_path)


def test_demo_runs_away_from_the_repository(python, tmp_path):
    run(python, '-m', 'avnb', 'demo', '--tiny', cwd=tmp_path, seconds=900)
    report = json.loads((tmp_path / 'runs' / 'demo' / 'report.json').read_text())
    assert {'value', 'error', 'chance', 'n', 'baselines'} <= set(report['linear_video'])
    assert '<video' in (tmp_path / 'runs' / 'demo' / 'index.html').read_text()


# -- the newest Python -------------------------------------------------------------------------------------------------


def really_runs(python):
    "Whether there is such a Python (a pyenv shim may stand for none)."
    return subprocess.run([python, '-c', 'import venv'], capture_output=True).returncode == 0


@pytest.fixture(scope='module')
def newest():
    "The newest Python here that we support: $AVNB_NEWEST_PYTHON, or 3.14, 3.13, 3.12 wherever one is found."
    if named := os.environ.get('AVNB_NEWEST_PYTHON'):
        return named
    for minor in 14, 13, 12:
        pyenv = Path.home().glob(f'.pyenv/versions/3.{minor}.*/bin/python3.{minor}')
        this = [sys.executable] if sys.version_info[:2] == (3, minor) else []
        for candidate in filter(None, [*this, shutil.which(f'python3.{minor}'), *pyenv]):
            if really_runs(candidate):
                return candidate
    pytest.skip('no Python 3.12 or newer here: name one in AVNB_NEWEST_PYTHON')


def test_the_newest_python_compiles_the_package(newest, tmp_path):
    code = f"""if True:
        from pathlib import Path
        for p in Path({str(ROOT / 'avnb')!r}).glob('*.py'): compile(p.read_text(encoding='utf-8'), p.name, 'exec')"""
    run(newest, '-W', 'error', '-c', code, cwd=tmp_path)


def test_the_newest_python_reads_and_writes(newest, wheel, tmp_path):
    "With the newest PyAV and numpy that it may have, and no torch: what media needs takes seconds to install."
    few = [r for r in required(wheel) if r.startswith(('av', 'fastcore', 'numpy', 'soundfile'))]
    assert len(few) == 4, few
    python = environment(newest, tmp_path / 'few', '--no-deps', wheel)
    run(python, '-m', 'pip', 'install', '-q', '--disable-pip-version-check', *few, cwd=tmp_path)
    code = """if True:
        import numpy as np
        from avnb.media import probe, read_clip, write_clip
        r = np.random.default_rng(0)
        frames = r.integers(0, 256, (16, 48, 64, 1), np.uint8).repeat(3, 3)
        sound = r.uniform(-0.5, 0.5, 16000).astype('f4')
        write_clip('a.mp4', frames, sound, fps=16, crf=1)
        clip = read_clip('a.mp4', seconds=0.5, fps=16)
        print(probe('a.mp4')['duration_s'], len(clip.waveform), abs(clip.frames - frames[:8].astype(int)).max() < 20)"""
    assert run(python, '-W', 'error', '-c', code, cwd=tmp_path).split() == ['1.0', '8000', 'True']
    shutil.rmtree(tmp_path / 'few')


def test_the_newest_python_runs_the_demo(newest, wheel, tmp_path):
    if not os.environ.get('AVNB_SMOKE_NEWEST'):
        pytest.skip('the newest Python needs a torch of its own, up to 3.4 GB to fetch: AVNB_SMOKE_NEWEST=1 runs this')
    python = environment(newest, tmp_path / 'newest', wheel)
    run(python, '-c', f"import importlib; [importlib.import_module('avnb.' + m) for m in {MODULES}]", cwd=tmp_path)
    run(python, '-m', 'avnb', 'demo', '--tiny', cwd=tmp_path, seconds=900)
    shutil.rmtree(tmp_path / 'newest')
