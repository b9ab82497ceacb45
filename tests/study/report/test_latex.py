import re

from nitido.study.report.latex import as_latex, escape
from tests.study.report.boards import WINNER, board_of, rows_of, usual


def body(text: str) -> list[str]:
    """The lines between \\midrule and \\bottomrule."""
    return text.partition("\\midrule\n")[2].partition("\\bottomrule")[0].strip().splitlines()


def test_the_table_has_as_many_columns_everywhere_as_it_declares() -> None:
    board, _ = usual()
    text = as_latex(board)
    declared = re.search(r"\\begin\{tabular\}\{(\w+)\}", text)
    assert declared
    for line in [*body(text), *re.findall(r"^(?:Variant| &).*$", text, re.M)]:
        spans = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d)\}", line))
        assert len(re.findall(r"(?<!\\)&", line)) + spans == len(declared[1]) - 1, line
        assert line.endswith("\\\\")
    for rule in ("\\toprule", "\\midrule", "\\bottomrule", "\\cmidrule(lr){3-4}\\cmidrule(lr){5-6}"):
        assert text.count(rule) == 1
    assert text.count("{") - text.count("\\{") == text.count("}") - text.count("\\}")


def test_names_are_escaped_the_best_is_bold_and_intervals_and_protocol_are_there() -> None:
    board, _ = usual()
    text = as_latex(board)
    lines = {line.partition(" &")[0]: line for line in body(text)}
    winner = lines["pixel\\_shuffle\\_residual\\_leaky\\_relu"]
    assert winner.count("\\textbf{") == 4
    assert "\\textbf" not in lines["vanilla"]
    assert re.search(r"\$\+0\.2\d\\,\[\+0\.\d\d, \+0\.\d\d\]\^\{\*\}\$", winner)
    assert "^{*}" not in lines["vanilla"]
    assert "Bold: the best of the ranked trained variants; bicubic and unranked variants are never bold." in text
    assert "protocol bt601-y/test/1" in text
    assert "3 seeds" in text
    assert f"Caveats: {'; '.join(board.caveats['fidelity'])}." in text
    assert WINNER not in text


def test_what_diverged_is_marked_and_last_and_bicubic_is_never_bold() -> None:
    rows = rows_of({"prelu": 40.0, "vanilla": 31.0, "bicubic": 32.49})
    lines = body(as_latex(board_of(rows, broken={"prelu": "diverged"})))
    assert lines[-1].startswith("prelu (diverged) &")
    assert "\\textbf" not in lines[-1]
    bicubic = next(line for line in lines if line.startswith("bicubic"))
    assert "\\textbf" not in bicubic


def test_perception_has_a_table_of_its_own_where_the_smallest_is_bold() -> None:
    distances = {"gan": 0.30, "vanilla": 0.40, "bicubic": 0.50}
    rows = rows_of({"gan": 33.0, "vanilla": 33.7, "bicubic": 32.49}, distances=distances)
    text = as_latex(board_of(rows, perceptual=["gan"]))
    assert text.count("\\begin{table}") == 2
    second = text.partition("\\end{table}")[2]
    assert re.search(r"^gan & .*\\textbf\{0\.30\d\d\}", second, re.M)
    first = text.partition("\\end{table}")[0]
    assert "objective: perception" in first
    assert "Bold: the best of the ranked trained variants with the objective fidelity; bicubic" in first


def test_every_special_character_is_escaped() -> None:
    assert escape("a_b&c%d$e#f{g}h~i^j\\k") == (
        "a\\_b\\&c\\%d\\$e\\#f\\{g\\}h\\textasciitilde{}i\\textasciicircum{}j\\textbackslash{}k"
    )
