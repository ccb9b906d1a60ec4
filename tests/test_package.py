"One source of package data, and imports that cost no more than they must."

import ast
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from importlib.metadata import entry_points, metadata, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from prepare import ROOT

import avnb

NOT_IMPORTED = {
    'torchvision': 'core.import_torchvision',
    'torchaudio': 'core.import_torchaudio',
    'jupyterlab': '`avnb lab` starts it',
    'tensorboard': 'torch.utils.tensorboard imports it',
    'ipywidgets': 'tqdm draws its notebook bars with it',
}
COMES_WITH = {'ipython': 'jupyterlab', 'pillow': 'matplotlib', 'traitlets': 'ipywidgets'}
HEAVY = ['torchvision', 'torchaudio', 'av', 'moviepy', 'pandas', 'matplotlib', 'sklearn', 'IPython']


@pytest.fixture(scope='module')
def settings():
    "settings.ini, read the plain way: comments cut by hand."
    text = '\n'.join(line.split('#')[0] for line in (ROOT / 'settings.ini').read_text().splitlines())
    config = ConfigParser(delimiters=['='], interpolation=None)
    config.read_string(text)
    return config['DEFAULT']


def requirements(settings, key):
    return {str(Requirement(line)) for line in settings[key].split('\n') if line.strip()}


def test_tests_see_this_package():
    assert Path(avnb.__file__).parent == ROOT / 'avnb', 'another avnb is installed: run `make test`'


def test_pyproject_agrees_with_settings(settings):
    pyproject = tomllib.loads((ROOT / 'pyproject.toml').read_text())
    assert pyproject['project']['name'] == settings['lib_name']
    assert pyproject['project']['requires-python'] == '>=' + settings['min_python']
    assert {k: pyproject['tool']['nbdev'][k] for k in ('lib_path', 'nbs_path')} == {
        k: settings[k] for k in ('lib_path', 'nbs_path')
    }


def test_version_is_one(settings):
    citation = (ROOT / 'CITATION.cff').read_text()
    assert avnb.__version__ == settings['version'] == metadata('avnb')['Version']
    assert f'\nversion: {settings["version"]}\n' in citation


def test_metadata_comes_from_settings(settings):
    built = [Requirement(r) for r in requires('avnb')]
    assert {str(r) for r in built if not r.marker} == requirements(settings, 'requirements')
    dev = {str(r).split(';')[0].strip() for r in built if r.marker and r.marker.evaluate(dict(extra='dev'))}
    assert dev == requirements(settings, 'dev_requirements')
    assert metadata('avnb')['Summary'] == settings['description']
    assert metadata('avnb')['License-Expression'] == 'Apache-2.0' and settings['license'] == 'apache2'


def test_every_requirement_has_its_reason():
    lines = [line for line in (ROOT / 'settings.ini').read_text().splitlines() if line.startswith('    ')]
    assert [line for line in lines if '#' not in line and 'avnb.cli' not in line] == []


def imports(text):
    "Third-party packages that Python source imports, by the name they are imported as."
    nodes = list(ast.walk(ast.parse(text)))
    names = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module for n in nodes if isinstance(n, ast.ImportFrom) and not n.level}
    return {n.split('.')[0] for n in names} - set(sys.stdlib_module_names) - {'avnb'}


def test_requirements_are_what_is_imported(settings):
    required = {Requirement(r).name for r in requirements(settings, 'requirements')}
    provider = packages_distributions()
    used = {
        p.name: {provider[n][0].lower().replace('_', '-') for n in imports(p.read_text())}
        for p in (ROOT / 'avnb').glob('*.py')
    }
    assert {name: extra for name, found in used.items() if (extra := found - required - set(COMES_WITH))} == {}, (
        'imported, not required'
    )
    assert required - set().union(*used.values()) - set(NOT_IMPORTED) == set(), 'required, not imported'


@pytest.mark.parametrize('module', ['nce', 'attention'])
def test_losses_import_nothing_heavy(module):
    code = f'import sys, avnb.{module}; print(*sorted(set({HEAVY}) & set(sys.modules)))'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.split() == []


def test_the_command_is_installed():
    assert [e.value for e in entry_points(group='console_scripts', name='avnb')] == ['avnb.cli:main']
    run = subprocess.run([sys.executable, '-m', 'avnb', '--help'], capture_output=True, text=True)
    assert run.returncode == 0 and 'demo' in run.stdout, run.stderr
