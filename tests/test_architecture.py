"""The upper marks of the house, and who may know whom. Floors are checked by import-linter (pyproject.toml)."""

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "moil"
FILES = sorted(SOURCE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in FILES}

LONGEST_FILE = 500
LONGEST_FUNCTION = 50
MOST_METHODS = 15
MOST_POSITIONAL = 5

#: The composition root brings things in when they are needed, and a record what it needs to pass for a dataclass.
MAY_IMPORT_INSIDE = {
    *("__init__.py", "program.py", "session.py", "plugins.py", "cli/__init__.py"),
    *("record.py", "deployment/launcher.py"),
}
#: Optional or heavy: each costs more than the rest of its module.
HEAVY = {"rich", "urllib", "http", "importlib", "hashlib", "sysconfig", "logging"}

#: What the core may use: nothing that knows the time, the machine or chance.
PURE = {
    "__future__",
    "collections",
    "dataclasses",
    "enum",
    "heapq",
    "json",
    "math",
    "moil",
    "operator",
    "re",
    "struct",
    "typing",
}


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield name_of(path), node


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_is_one_idea_and_says_which(path):
    assert len(path.read_text().splitlines()) <= LONGEST_FILE
    assert ast.get_docstring(TREES[path]), "a module begins with what it is about"


def test_functions_are_short():
    too_long = [f"{where}: {node.name} has {length(node)} lines" for where, node in functions() if length(node) > LONGEST_FUNCTION]
    assert not too_long
    assert statistics.median(length(node) for _, node in functions()) <= 6


def test_functions_have_few_positional_parameters():
    for where, node in functions():
        names = [one.arg for one in (*node.args.posonlyargs, *node.args.args) if one.arg not in ("self", "cls")]
        assert len(names) <= MOST_POSITIONAL, f"{where}: {node.name}({', '.join(names)})"


def test_classes_have_few_public_methods():
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                methods = [one.name for one in node.body if isinstance(one, ast.FunctionDef) and not one.name.startswith("_")]
                if name_of(path) != "testing/job_store.py" and not node.name.endswith("Tests"):
                    assert len(methods) <= MOST_METHODS, f"{name_of(path)}: {node.name} has {methods}"


def test_imports_stand_at_the_top():
    for where, node in functions():
        if where in MAY_IMPORT_INSIDE:
            continue
        for inner in ast.walk(node):
            for name in imported(inner):
                assert name.partition(".")[0] in HEAVY, f"{where}: {node.name} imports {name}"


def test_nothing_is_caught_bare_and_nothing_is_global():
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            assert not isinstance(node, ast.Global), name_of(path)
            assert not (isinstance(node, ast.ExceptHandler) and node.type is None), name_of(path)


def test_what_is_public_is_documented():
    for path, tree in TREES.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                overload = any(isinstance(one, ast.Name) and one.id == "overload" for one in node.decorator_list)
                assert overload or ast.get_docstring(node), f"{name_of(path)}: {node.name}"


def test_and_so_are_public_methods():
    """Not of conformance suites and state machines, whose methods are named after what they say."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and not is_a_test(node):
                for one in node.body:
                    if isinstance(one, ast.FunctionDef) and not one.name.startswith("_"):
                        assert ast.get_docstring(one), f"{name_of(path)}: {node.name}.{one.name}"


def is_a_test(node: ast.ClassDef) -> bool:
    bases = {ast.unparse(base) for base in node.bases}
    return node.name.endswith("Tests") or any("Tests" in base or "StateMachine" in base for base in bases)


def test_everything_is_annotated():
    for where, node in functions():
        every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
        bare = [one.arg for one in every if one is not None and one.annotation is None and one.arg not in ("self", "cls")]
        assert not bare, f"{where}: {node.name}({', '.join(bare)})"
        assert node.returns is not None, f"{where}: {node.name}"


#: Words for the same things that we do not use; "task" is the task record and nothing else, as in the job store.
NOT_OURS = re.compile(r"\b(node|executor|future|master|provider|dag|hot deploy(ment)?|backend job id)s?\b", re.IGNORECASE)
#: These speak of others, in their words.
OF_OTHERS = {"comparison.md", "moving-from-toil.md"}
#: Slurm's word for an outcome.
SLURMS = {"node_failed"}


def test_names_are_our_own():
    for path, tree in TREES.items():
        for name in defined(tree) - SLURMS:
            words = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", name)
            assert not NOT_OURS.search(words), f"{name_of(path)}: {name}"


def defined(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return found


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))], ids=lambda path: path.name)
def test_words_are_our_own(path):
    if path.name not in OF_OTHERS:
        lines = enumerate(path.read_text().splitlines(), 1)
        told = [f"{path.name}:{number}: {line}" for number, line in lines if NOT_OURS.search(line)]
        assert not told


@pytest.mark.parametrize("path", [one for one in FILES if "core" in one.parts], ids=name_of)
def test_the_core_is_pure(path):
    for node in ast.walk(TREES[path]):
        for name in imported(node):
            assert name.partition(".")[0] in PURE, name
            assert not name.startswith("moil.") or name.startswith(("moil.core", "moil.record", "moil.errors")), name


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_a_worker_needs_the_standard_library_and_cloudpickle_only():
    before = modules_after("pass")
    tops = {name.partition(".")[0] for name in modules_after("import moil.worker, moil.adapters.directory, moil.runtime.by_value") - before}
    tops = {name for name in tops if not name.startswith("_sysconfigdata")}  # the standard library's, by another name
    assert tops - set(sys.stdlib_module_names) == {"cloudpickle", "moil"}


def test_importing_moil_is_light():
    heavy = {"msgspec", "rich", "cloudpickle", "argparse", "asyncio", "subprocess", "logging", "urllib.request", "http.client"}
    found = modules_after("import moil") - modules_after("import sys")
    assert not found & heavy
    assert len([name for name in found if name.startswith("moil")]) <= 25
    assert len(found) <= 110


SMALL = """
import atexit
import sys
import moil

@moil.job(memory="10 MiB", disk="1 MiB")
def hello():
    return 1

if __name__ == "__main__":
    before = {*sys.modules}
    atexit.register(lambda: print(*({*sys.modules} - before), file=sys.stderr))
    __HOW__
"""


@pytest.mark.parametrize(
    ("how", "but_for"),
    [("moil.run(hello, max_cores=1.0, progress=False)", set()), ("moil.main(hello)", {"argparse"})],
)
def test_a_small_run_brings_in_little(tmp_path, how, but_for):
    """Each of these takes longer than all that the run does with it, or is for others than the leader."""
    (tmp_path / "small.py").write_text(SMALL.replace("__HOW__", how))
    done = subprocess.run([sys.executable, "small.py"], cwd=tmp_path, check=True, capture_output=True, text=True)
    found = set(done.stderr.splitlines()[-1].split())
    assert "moil.session" in found
    dear = {"argparse", "ctypes", "dataclasses", "hashlib", "importlib.metadata", "logging", "shutil", "sysconfig", "tempfile"}
    assert found & dear == but_for
    assert not found & {"moil.runtime.job_process", "moil.runtime.execute", "moil.deployment.discover"}


@pytest.mark.slow
def test_floors_import_only_downwards():
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint], cwd=SOURCE.parent.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
