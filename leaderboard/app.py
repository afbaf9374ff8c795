"""The leaderboard in a browser, by Streamlit; `harness board` starts it (see launch.py)."""

import streamlit as st

PAGES = {
    "board": "Board",
    "compare": "Compare",
    "frames": "Frames",
    "run": "Run",
    "speed": "Speed",
    "about": "About",
}
"""File in pages/ without its ending, and title. The first page is what a visitor sees first."""


def app() -> None:
    """Draws the page that the address names."""
    st.set_page_config(
        page_title="Road anomaly leaderboard", layout="wide", initial_sidebar_state="collapsed"
    )
    pages = [
        st.Page(f"pages/{name}.py", title=title, url_path=name, default=name == "board")
        for name, title in PAGES.items()
    ]
    st.navigation(pages, position="top").run()


if __name__ == "__main__":
    app()
