"""The page docs/derivation.md runs and prints what it shows. Run this file to redraw its figures."""

from pathlib import Path

from pages import run

PAGE = Path(__file__).parent.parent / "docs" / "derivation.md"


def test_the_page_prints_what_it_shows(tmp_path):
    (tmp_path / "figures").mkdir()
    printed, shown = run(PAGE, tmp_path)
    assert printed == shown
    figures = sorted(p.name for p in (tmp_path / "figures").iterdir())
    assert figures == sorted(p.name for p in (PAGE.parent / "figures").iterdir())


if __name__ == "__main__":
    for text in run(PAGE, PAGE.parent)[0]:
        print(text)
