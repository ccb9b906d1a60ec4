"avnb/static in one dialect: formatted, typed, nothing that nobody uses. Its tools are fetched where node and npm are."

import json
import re
import shutil
import subprocess

import pytest
from prepare import ROOT

STATIC = ROOT / 'avnb' / 'static'
MODULES = {p.name: p.read_text(encoding='utf-8') for p in sorted(STATIC.glob('*.js'))}
IMPORT = re.compile(r"^import \{ ([^}]*) \} from '\./([\w.]+)';", re.M)
OLDEST_NODE = (20, 19)  # that the pinned eslint runs on


def npm(*arguments, seconds=60):
    "What npm says in the repository; both streams as one text."
    command = [shutil.which('npm'), *arguments]
    return subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds
    )


@pytest.fixture(scope='module')
def tools():
    "The tools of package.json in node_modules, which git ignores; a skip that says why where they cannot be had."
    if not shutil.which('node') or not shutil.which('npm'):
        pytest.skip('JavaScript is not checked: no node and npm here')
    version = subprocess.run(['node', '--version'], capture_output=True, text=True).stdout.strip()
    if tuple(map(int, version.lstrip('v').split('.')[:2])) < OLDEST_NODE:
        pytest.skip(f'JavaScript is not checked: node {version}, and eslint needs {OLDEST_NODE[0]}.{OLDEST_NODE[1]}')
    quiet = ['--no-audit', '--no-fund', '--no-package-lock', '--prefer-offline', '--fetch-retries=0']
    try:
        done = npm('install', *quiet)
    except subprocess.TimeoutExpired:
        pytest.skip('JavaScript is not checked: npm could not fetch its tools within a minute')
    if done.returncode:
        code = re.search(r'npm error code (\w+)', done.stdout)
        pytest.skip(f'JavaScript is not checked: npm could not fetch its tools ({code[1] if code else "no code"})')


@pytest.mark.parametrize('check', ['format', 'style', 'types'])
def test_lint(tools, check):
    done = npm('run', '--silent', f'lint:{check}')
    if done.returncode:
        pytest.fail(f'`make lint-js` says:\n{done.stdout[-4000:]}', pytrace=False)


def test_tools_are_pinned():
    versions = json.loads((ROOT / 'package.json').read_text())['devDependencies']
    assert {name: v for name, v in versions.items() if not re.fullmatch(r'\d+\.\d+\.\d+', v)} == {}


def exports(text):
    "Names that a module exports."
    return set(re.findall(r'^export (?:class|function|const) (\w+)', text, re.M))


def test_exports_are_there_and_used():
    imports = {
        (other, n)
        for text in MODULES.values()
        for names, other in IMPORT.findall(text)
        for n in re.findall(r'\w+', names)
    }
    offered = {(name, n) for name, text in MODULES.items() for n in exports(text)}
    assert sorted(imports - offered) == [], 'imported, and not there'
    tests = '\n'.join(p.read_text(encoding='utf-8') for p in (ROOT / 'tests').glob('test_*.py'))
    unused = [n for _, n in sorted(offered - imports) if not re.search(rf"\bm\.{n}\b|js\('{n}'", tests)]
    assert unused == [], 'exported, and used by no other module and no test'


@pytest.mark.parametrize('entry', ['player.js', 'board.js', 'kernel_monitor.js'])
def test_modules_join_to_one_text(entry):
    "Every module once, after those that it imports; nothing is left that a page would have to fetch."
    from avnb.player import static

    text = static(entry)
    names = re.findall(r'^(?:export )?(?:class|function|const|let) (\w+)', text, re.M)
    assert sorted(names) == sorted(set(names)), 'one name for two things'
    assert not re.search(r'^\s*import\b', text, re.M) and len(re.findall(r'^export default ', text, re.M)) == 1
    first = {name: text.index(f'export function {name}(') for name in ('make', 'whenGone')}
    assert max(first.values()) < text.index('export default ')
    assert static('kernel.js', entry).count('export function whenGone(') == 1
