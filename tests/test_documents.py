"What the documents at the top name is there: files, commands, settings, functions, headings of notebooks."

import argparse
import json
import re
import subprocess
import sys
from dataclasses import fields

import nbformat
import pytest
import yaml  # JupyterLab brings it
from prepare import ROOT

from avnb.cli import parser
from avnb.core import TrainConfig

DOCUMENTS = ['CONTRIBUTING.md', 'ARCHITECTURE.md', 'CHANGELOG.md', 'CODE_OF_CONDUCT.md']
TEMPLATES = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / '.github').rglob('*') if p.is_file())
YAMLS = [name for name in TEMPLATES if name.endswith('.yml')] + ['.pre-commit-config.yaml']
FOLDERS = 'nbs|tests|tools|avnb|benchmarks|data_samples'
CODE = [p for folder in ('avnb', 'tests', 'tools', 'benchmarks') for p in (ROOT / folder).glob('*.py')]


def text_of(name):
    return (ROOT / name).read_text(encoding='utf-8')


def quoted(name):
    "What stands between backticks in a document, code blocks left out."
    return re.findall(r'`([^`\n]+)`', re.sub(r'^```.*?^```', '', text_of(name), flags=re.M | re.S))


@pytest.mark.parametrize('name', DOCUMENTS + TEMPLATES)
def test_short(name):
    assert len(text_of(name).splitlines()) < 165


@pytest.mark.parametrize('name', YAMLS)
def test_yaml(name):
    assert isinstance(yaml.safe_load(text_of(name)), dict)


@pytest.mark.parametrize('name', DOCUMENTS)
def test_links(name):
    "Files are there, and anchors are headings of the notebook, as JupyterLab spells them."
    wrong = []
    for target in re.findall(r'\]\(([^)\s]+)\)', text_of(name)):
        path, _, anchor = target.partition('#')
        if re.match(r'[a-z]+:', target):
            continue
        if not (ROOT / path).exists() or anchor and anchor not in [title for title, _ in sections(path)]:
            wrong.append(target)
    assert wrong == []


@pytest.mark.parametrize('name', DOCUMENTS + ['.github/pull_request_template.md'])
def test_commands_and_paths(name):
    "Targets of make, verbs of avnb, paths, and words that `pytest -k` selects."
    targets = set(re.findall(r'^([\w./-]+):', text_of('Makefile'), re.M))
    verbs = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction)).choices
    wrong = []
    for words in quoted(name):
        wrong += [words for target in re.findall(r'\bmake ([a-z-]+)', words) if target not in targets]
        wrong += [words for verb in re.findall(r'^avnb ([a-z]+)', words) if verb not in verbs]
        wrong += [words for path in re.findall(rf'\b(?:{FOLDERS})/[\w./-]+', words) if not (ROOT / path).exists()]
        if selected := re.search(r'(tests/\w+\.py) -k (\w+)', words):
            file, word = selected.groups()
            there = text_of(file) + ' '.join(p.stem for p in (ROOT / 'nbs').glob('*.ipynb'))
            wrong += [words] * (word not in there)
    assert wrong == []


@pytest.mark.parametrize('name', ['CONTRIBUTING.md', 'ARCHITECTURE.md'])
def test_names(name):
    "Names of functions, classes, columns and settings."
    texts = [p.read_text(encoding='utf-8') for p in [*CODE, ROOT / 'package.json', ROOT / 'pyproject.toml']]
    texts += [cell.source for p in (ROOT / 'nbs').glob('*.ipynb') for cell in nbformat.read(p, 4).cells]
    known = set(re.findall(r'\w+', '\n'.join(texts)))
    words = [word for word in quoted(name) if re.fullmatch(r'[\w.]+', word)]
    assert [word for word in words if not known >= set(re.findall(r'\w+', word))] == []
    groups = {f.name for f in fields(TrainConfig)}
    dotted = [word.split('.') for word in words if word.count('.') == 1]
    assert [d for d in dotted if d[0] in groups and not hasattr(getattr(TrainConfig(), d[0]), d[1])] == []


def sections(notebook):
    "(anchor, source of the cells under it, headings below it included) of each heading of a notebook."
    found = []
    for cell in nbformat.read(ROOT / notebook, 4).cells if notebook.endswith('.ipynb') else ():
        for depth, title in re.findall(r'^(#+) (.+)$', cell.source, re.M) if cell.cell_type == 'markdown' else ():
            # Depth 0: the section has ended.
            found = [(d if d < len(depth) else 0, anchor, text) for d, anchor, text in found]
            found.append((len(depth), title.strip().replace(' ', '-'), []))
        for d, _, text in found:
            text += [cell.source] * bool(d)
    return [(anchor, '\n'.join(text)) for _, anchor, text in found]


def test_what_to_copy_is_where_it_is_said_to_be():
    form = r'Copy `(\w+)`(?: or `(\w+)`)? from\s+\[[^]]+\]\(([^)#]+)#([^)]+)\)'
    copies = re.findall(form, text_of('CONTRIBUTING.md'))
    assert len(copies) == 4, 'a loss, an encoder, a data set, a protocol'
    for *names, notebook, anchor in copies:
        text = dict(sections(notebook))[anchor]
        assert [n for n in names if n and not re.search(rf'^(?:def|class) {n}\b', text, re.M)] == []


def test_every_module_is_in_the_architecture():
    modules = {p.stem for p in (ROOT / 'avnb').glob('*.py') if not p.stem.startswith('_')}
    rows = re.findall(r'^\| `(\w+)` \|[^|]*\| (.*) \|$', text_of('ARCHITECTURE.md'), re.M)
    assert {module for module, _ in rows} == modules
    for module, names in rows:
        public = re.search(r'^__all__ = \[(.*?)\]', text_of(f'avnb/{module}.py'), re.M | re.S)[1]
        assert [n for n in re.findall(r'`(\w+)`', names) if f"'{n}'" not in public] == []


def test_workflow_runs_the_two_commands_on_every_python():
    job = yaml.safe_load(text_of('.github/workflows/ci.yml'))['jobs']['tests']
    runs = '\n'.join(step.get('run', '') for step in job['steps'])
    assert re.findall(r'^make (test[a-z-]*)$', runs, re.M) == ['test', 'test-slow']
    oldest = re.search(r'^min_python = (\S+)', text_of('settings.ini'), re.M)[1]
    assert job['strategy']['matrix']['python'][0] == oldest and len(job['strategy']['matrix']['python']) == 4


def test_hooks_and_package_json_agree():
    hooks = {h['id']: h for r in yaml.safe_load(text_of('.pre-commit-config.yaml'))['repos'] for h in r['hooks']}
    pinned = json.loads(text_of('package.json'))['devDependencies']
    assert hooks['prettier']['additional_dependencies'] == [f'prettier@{pinned["prettier"]}']
    assert all(re.search(r'[=@]\d', d) for h in hooks.values() for d in h.get('additional_dependencies', ()))


def test_source_distribution_names_what_is_there():
    names = ' '.join(re.findall(r'^include (.+)$', text_of('MANIFEST.in'), re.M)).split()
    assert 'CHANGELOG.md' in names and [name for name in names if not (ROOT / name).exists()] == []


def test_changelog_knows_this_version():
    version = re.search(r'^version = (\S+)', text_of('settings.ini'), re.M)[1]
    headings = re.findall(r'^## \[([^]]+)\]', text_of('CHANGELOG.md'), re.M)
    assert headings[0] == 'Unreleased' and version in headings


@pytest.mark.slow
def test_run_folder_is_as_documented(tmp_path):
    "Every file that the demo leaves is named in ARCHITECTURE.md, and the other way round."
    command = [sys.executable, '-m', 'avnb', 'demo', '--tiny', '--folder', 'demo']
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    part = text_of('ARCHITECTURE.md').split('### Run folder')[1].split('\n### ')[0]
    named = {numberless(word.rstrip('/')) for word in re.findall(r'`([\w./-]+)`', part)}
    files = [p.relative_to(tmp_path / 'demo') for p in (tmp_path / 'demo').rglob('*') if p.is_file()]
    files = [p for p in files if p.parts[0] not in ('world', 'packed')]  # what the demo made before it trained
    assert [p for p in files if not {numberless(p.as_posix()), p.parts[0]} & named] == [], 'not documented'
    left = {numberless(p.as_posix()) for p in files} | {p.parts[0] for p in files}
    # Only there where something is wrong, where processes share a bank, or while it runs.
    rare = {'ledger.csv', 'nan-step-0.json', 'rows-0-0-of-0.pt', 'lock'}
    promised = [n for n in named - rare if '.' in n or n in ('figures', 'overlays', 'tb')]
    assert sorted(set(promised) - left) == [], 'documented, and not there'


def numberless(name):
    return re.sub(r'\d+', '0', name)
