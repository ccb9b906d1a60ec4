"A wheel, built from the source distribution, works in an environment of its own, away from the repository."
import json, os, shutil, subprocess, sys, zipfile
from email.parser import Parser
from importlib.metadata import requires
from pathlib import Path

import pytest
from prepare import ROOT

pytestmark = pytest.mark.slow
MODULES = sorted(p.stem for p in (ROOT/'avnb').glob('*.py') if not p.stem.startswith('_'))
LEFT_OUT = shutil.ignore_patterns('.git', '.venv', 'node_modules', 'runs', 'build', 'dist', '*.egg-info', '__pycache__', '.pytest_cache', '.hypothesis')


def run(*command, cwd, seconds=600):
    "What a command prints; a failure shows both streams."
    env = {k: v for k, v in os.environ.items() if k not in ('PYTHONPATH', 'VIRTUAL_ENV')}
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=seconds)
    if done.returncode: pytest.fail(f"{' '.join(map(str, command))}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}", pytrace=False)
    return done.stdout


def environment(python, folder, wheel):
    "The Python of a new environment in `folder` that holds the wheel and what it requires, and nothing else."
    run(python, '-m', 'venv', folder, cwd=folder.parent)
    new = folder/('Scripts' if os.name == 'nt' else 'bin')/'python'
    run(new, '-m', 'pip', 'install', '-q', '--disable-pip-version-check', wheel, cwd=folder.parent, seconds=1400)
    return new


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp('build')
    shutil.copytree(ROOT, folder/'source', ignore=LEFT_OUT)
    run(sys.executable, '-c', 'from setuptools import build_meta; build_meta.build_sdist("..")', cwd=folder/'source')
    sdist, = folder.glob('*.tar.gz')
    run(sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', '-w', folder, sdist, cwd=folder)
    return next(folder.glob('*.whl'))


@pytest.fixture(scope='module')
def python(wheel):
    yield environment(sys.executable, wheel.parent/'fresh', wheel)
    shutil.rmtree(wheel.parent/'fresh') # 2 to 6 GB


def test_wheel_holds_the_package(wheel):
    files = set(zipfile.ZipFile(wheel).namelist())
    package = {p.relative_to(ROOT).as_posix() for p in (ROOT/'avnb').rglob('*') if p.is_file() and '__pycache__' not in p.parts}
    assert package - files == set()
    assert [f for f in files if not f.startswith(('avnb/', 'avnb-'))] == []
    text = zipfile.ZipFile(wheel).read(next(f for f in files if f.endswith('.dist-info/METADATA'))).decode()
    assert Parser().parsestr(text).get_all('Requires-Dist') == requires('avnb'), 'other requirements than .venv was made with: run `make test`'
    assert any(f.endswith('licenses/LICENSE') for f in files)


def test_every_module_imports(python, tmp_path):
    code = f"import importlib, avnb; [importlib.import_module('avnb.' + m) for m in {MODULES}]; print(avnb.__file__)"
    assert Path(run(python, '-c', code, cwd=tmp_path).strip()).is_relative_to(python.parents[1])


def test_command_says_what_it_can(python, tmp_path):
    for command in [python.with_name('avnb')], [python, '-m', 'avnb']: assert 'demo' in run(*command, '--help', cwd=tmp_path)


def test_demo_runs_away_from_the_repository(python, tmp_path):
    run(python, '-m', 'avnb', 'demo', '--tiny', cwd=tmp_path, seconds=900)
    report = json.loads((tmp_path/'runs'/'demo'/'report.json').read_text())
    assert {'value', 'error', 'chance', 'n', 'baselines'} <= set(report['linear_video'])
    assert '<video' in (tmp_path/'runs'/'demo'/'index.html').read_text()


# -- Python 3.12 -------------------------------------------------------------------------------------------------------

@pytest.fixture(scope='module')
def python312():
    "A Python 3.12 that really runs (a pyenv shim may not)."
    found = [os.environ.get('AVNB_PYTHON312'), shutil.which('python3.12'), *Path.home().glob('.pyenv/versions/3.12*/bin/python3.12')]
    if sys.version_info[:2] == (3, 12): found.insert(0, sys.executable)
    for candidate in filter(None, found):
        if subprocess.run([candidate, '-c', 'import venv'], capture_output=True).returncode == 0: return candidate
    pytest.skip('no Python 3.12 here: name one in AVNB_PYTHON312')


def test_python_312_compiles_the_package(python312, tmp_path):
    code = f"import pathlib; [compile(p.read_text(), p.name, 'exec') for p in pathlib.Path({str(ROOT/'avnb')!r}).glob('*.py')]"
    run(python312, '-W', 'error', '-c', code, cwd=tmp_path)


def test_python_312_smoke(python312, wheel, tmp_path):
    if not os.environ.get('AVNB_SMOKE_312'): pytest.skip('Python 3.12 needs a torch of its own, up to 2.1 GB to fetch: AVNB_SMOKE_312=1 runs this')
    python = environment(python312, tmp_path/'py312', wheel)
    run(python, '-c', f"import importlib; [importlib.import_module('avnb.' + m) for m in {MODULES}]", cwd=tmp_path)
    run(python, '-m', 'avnb', 'demo', '--tiny', cwd=tmp_path, seconds=900)
    shutil.rmtree(tmp_path/'py312')
