"""What Streamlit runs: the app, from a folder that has no `pages/` beside it.

Beside a folder of that name Streamlit takes every file in it for a page until the script has run
once, so the first visitor of a link to a page would get it without the app's navigation.
"""

from leaderboard.app import app

if __name__ == "__main__":
    app()
