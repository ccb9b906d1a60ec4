"One source of package data, and imports that cost no more than they must."
import subprocess, sys, tomllib
from configparser import ConfigParser
from importlib.metadata import entry_points, metadata, requires
from pathlib import Path

import avnb
import pytest
from packaging.requirements import Requirement
from prepare import ROOT

IMPORTED_AS = {'scikit-learn': 'sklearn', 'tomli-w': 'tomli_w', 'tensorboard': 'torch.utils.tensorboard', 'jupyterlab': 'jupyter'}
HEAVY = ['torchvision', 'torchaudio', 'av', 'moviepy', 'pandas', 'matplotlib', 'sklearn', 'IPython']


@pytest.fixture(scope='module')
def settings():
    "settings.ini, read the plain way: comments cut by hand."
    text = '\n'.join(line.split('#')[0] for line in (ROOT/'settings.ini').read_text().splitlines())
    config = ConfigParser(delimiters=['='], interpolation=None)
    config.read_string(text)
    return config['DEFAULT']


def requirements(settings, key): return {str(Requirement(line)) for line in settings[key].split('\n') if line.strip()}


def test_tests_see_this_package(): assert Path(avnb.__file__).parent == ROOT/'avnb', 'another avnb is installed: run `make test`'


def test_pyproject_agrees_with_settings(settings):
    pyproject = tomllib.loads((ROOT/'pyproject.toml').read_text())
    assert pyproject['project']['name'] == settings['lib_name']
    assert pyproject['project']['requires-python'] == '>=' + settings['min_python']
    assert {k: pyproject['tool']['nbdev'][k] for k in ('lib_path', 'nbs_path')} == {k: settings[k] for k in ('lib_path', 'nbs_path')}


def test_version_is_one(settings):
    citation = (ROOT/'CITATION.cff').read_text()
    assert avnb.__version__ == settings['version'] == metadata('avnb')['Version']
    assert f"\nversion: {settings['version']}\n" in citation


def test_metadata_comes_from_settings(settings):
    built = [Requirement(r) for r in requires('avnb')]
    assert {str(r) for r in built if not r.marker} == requirements(settings, 'requirements')
    dev = {str(r).split(';')[0].strip() for r in built if r.marker and r.marker.evaluate(dict(extra='dev'))}
    assert dev == requirements(settings, 'dev_requirements')
    assert metadata('avnb')['Summary'] == settings['description']
    assert metadata('avnb')['License-Expression'] == 'Apache-2.0' and settings['license'] == 'apache2'


def test_every_requirement_has_its_reason():
    lines = [line for line in (ROOT/'settings.ini').read_text().splitlines() if line.startswith('    ')]
    assert [line for line in lines if '#' not in line and 'avnb.cli' not in line] == []


def test_every_requirement_is_used(settings):
    code = '\n'.join(p.read_text() for folder, kind in [('avnb', '*.py'), ('nbs', '*.ipynb')] for p in (ROOT/folder).rglob(kind))
    names = [Requirement(r).name for r in requirements(settings, 'requirements')]
    assert [n for n in names if not any(f'{how} {IMPORTED_AS.get(n, n)}' in code for how in ('import', 'from', '-m'))] == []


@pytest.mark.parametrize('module', ['nce', 'attention'])
def test_losses_import_nothing_heavy(module):
    code = f'import sys, avnb.{module}; print(*sorted(set({HEAVY}) & set(sys.modules)))'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.split() == []


def test_the_command_is_installed():
    assert [e.value for e in entry_points(group='console_scripts', name='avnb')] == ['avnb.cli:main']
    run = subprocess.run([sys.executable, '-m', 'avnb', '--help'], capture_output=True, text=True)
    assert run.returncode == 0 and 'demo' in run.stdout, run.stderr
