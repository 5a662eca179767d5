"""The documents tell the truth: README's commands and Python run as written, and what they name exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def shell_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A reader's shell: the project's environment first on PATH, a data directory of its own, no other settings."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MTS_", "RAY_", "PYTEST"))}
    own["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"
    own["MTS_DATA_DIR"] = str(tmp_path_factory.mktemp("readme"))
    return own


def run(script: str, environment: dict[str, str], timeout_s: float) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def readme_script(block: str) -> str:
    """The block as written; only the environment that `source` would pick is the one the test runs in."""
    return block.replace("source .venv/bin/activate\n", "")


@pytest.mark.timeout(900)
def test_readme_commands(shell_environment: dict[str, str]) -> None:
    """Every bash block, in order, in one shell, the quickstart among them; and nothing is left running."""
    quickstart, *by_hand = (readme_script(block) for block in blocks("bash"))
    assert quickstart == "make quickstart\n"
    shown = run("mts quickstart --json figures-of-readme.json", shell_environment | {"TMPDIR": "/tmp"}, 600)
    try:
        for wanted in ("deflated Sharpe", "out of sample", "paper:", "refusals:", "parity:", "Total", "links verified"):
            assert wanted in shown, f"the quickstart does not print {wanted!r}:\n{shown}"
    finally:
        (ROOT / "figures-of-readme.json").unlink()
    try:
        run("\n".join(by_hand), shell_environment, 600)
    finally:
        subprocess.run(["mts", "down"], env=shell_environment, cwd=ROOT, check=True, timeout=120)
    data_dir = shell_environment["MTS_DATA_DIR"]
    left = [pid for pid in os.listdir("/proc") if pid.isdigit() and data_dir in command_line(pid)]
    assert not left, [command_line(pid) for pid in left]


def command_line(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def test_readme_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mts1b.datalake import open_lake, sample_path

    monkeypatch.setenv("MTS_DATA_DIR", str(tmp_path))
    open_lake(tmp_path / "lake").equities.bars.ingest(sample_path())
    for block in blocks("python"):
        source = tmp_path / "block.py"  # strategies are read from their source file
        source.write_text(block)
        names: dict[str, object] = {}
        exec(compile(block, str(source), "exec"), names)  # noqa: S102
        assert names


def test_linked_files_exist() -> None:
    for document in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / document).read_text()):
            assert (ROOT / target).exists(), f"{document} links to {target}"


def test_architecture_maps_every_room() -> None:
    """A room without a line in the map, or a line without a room, is a fault of the map."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"`mts1b/(\w+)(?:\.py)?`", text))
    rooms = {path.name for path in (ROOT / "mts1b").iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert named - {"config"} == rooms


def test_every_command_is_in_the_changelog_or_readme() -> None:
    from mts1b.cli.main import COMMAND_MODULES

    told = README + (ROOT / "CHANGELOG.md").read_text()
    named = {"stack": "mts up", "backup": "mts journal backup"}  # modules whose commands are called otherwise
    commands = {name: f"mts {name}" for name in COMMAND_MODULES} | named
    assert [command for command in commands.values() if command not in told] == []


def test_the_performance_page_is_what_the_saved_results_make() -> None:
    from mts1b.bench.report import page

    remedy = "run `mts bench report`"
    assert (ROOT / "docs" / "performance.md").read_text() == page(ROOT / "docs" / "bench"), remedy
