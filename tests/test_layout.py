"""Packages import one way: each only those below it, as `docs/architecture.md` draws them."""

import ast
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "nitido"

GROUND = {"base", "imaging", "data", "architectures"}
BELOW = {
    "base": set(),
    "imaging": {"base"},
    "data": {"base", "imaging"},
    "architectures": {"base", "imaging"},
    "perception": {"base", "data"},
    "kernels": {"base", "architectures"},
    "inspection": {"base", "architectures"},
    "models": {"base", "imaging", "architectures", "kernels"},
    "evaluation": GROUND | {"perception", "inspection", "models"},
    "training": GROUND | {"perception", "kernels", "models", "evaluation"},
    "study": GROUND | {"perception", "inspection", "models", "evaluation", "training"},
    "upscaling": {"base", "imaging", "architectures", "models"},
    "benchmarking": GROUND | {"kernels", "inspection", "models", "evaluation", "training", "study", "upscaling"},
    "cli": GROUND | {"inspection", "models", "evaluation", "training", "study", "upscaling", "benchmarking"},
    "__main__": {"cli"},
    "": {"architectures", "models", "upscaling"},  # `import nitido`: what users call without looking for it
}
"""By package of `nitido` the packages that it may import."""


def modules() -> dict[str, Path]:
    """Return every module of `src/nitido` by its dotted name below `nitido`; packages have their own."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports() -> dict[str, set[str]]:
    """Return by module the modules of nitido that it imports, anywhere in its code."""
    known = modules()
    found = defaultdict(set)
    for module, path in known.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: a relative import"
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                top, _, rest = name.partition(".")
                if top == "nitido":
                    found[module].add(rest if rest in known else rest.rpartition(".")[0])
    return found


def package(module: str) -> str:
    return module.partition(".")[0]


def test_every_package_has_its_place() -> None:
    assert {package(module) for module in modules()} == BELOW.keys()


def test_arrows_point_down() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, others in imports().items()
        for other in sorted(others)
        if package(other) not in BELOW[package(module)] | {package(module)}
    ]
    assert not wrong, "\n".join(wrong)


def test_the_table_allows_nothing_that_is_not_used() -> None:
    used = defaultdict(set)
    for module, others in imports().items():
        used[package(module)] |= {package(other) for other in others} - {package(module)}
    assert {name: below - used[name] for name, below in BELOW.items() if below - used[name]} == {}


def test_no_module_imports_itself_by_way_of_others() -> None:
    # A package's __init__ imports its modules; a module that imports from its package's __init__ is a cycle too.
    try:
        TopologicalSorter({module: others - {module} for module, others in imports().items()}).prepare()
    except CycleError as error:
        raise AssertionError(" → ".join(error.args[1])) from None


OWN_FOLDERS = {"faults", "forked", "fuzz", "matrix", "reference", "tools"}
"""Folders of tests that belong to no package of nitido."""


def test_the_folders_of_tests_are_those_of_the_packages() -> None:
    tests = Path(__file__).parent
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")} - {Path()}
    packages = {path.parent.relative_to(SOURCE) for path in SOURCE.rglob("__init__.py")}
    strays = {folder for folder in folders - packages if folder.parts[0] not in OWN_FOLDERS}
    assert strays == {Path("cli", "identity")}, "of a study's directory, from the command"
