"""Lines of cells as a table for the terminal, for Markdown and for LaTeX."""

from collections.abc import Sequence

from leaderboard.text import latex_text, markdown_text


def tabular(lines: Sequence[Sequence[str]], form: str, *, numeric: Sequence[bool]) -> str:
    """The lines, of which the first has the titles, as text without a final line break.

    Args:
        lines: of equally many cells.
        form: table (aligned text), markdown or latex (booktabs).
        numeric: of each column, whether it holds numbers, which are aligned on the right.
    """
    titles, *body = lines
    if form == "markdown":
        marks = ["---:" if number else "---" for number in numeric]
        texts = [titles, marks, *([markdown_text(cell) for cell in line] for line in body)]
        return "\n".join(f"| {' | '.join(line)} |" for line in texts)
    if form == "latex":
        kinds = "".join("r" if number else "l" for number in numeric)
        head, *rows = (rf"{' & '.join(map(latex_text, line))} \\" for line in lines)
        return "\n".join(
            [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", head, r"\midrule", *rows,
             r"\bottomrule", r"\end{tabular}"]
        )  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    )
