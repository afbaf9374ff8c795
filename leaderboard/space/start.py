"""Starts the Streamlit app over the folder runs/ beside this file, for a Space of the Hub."""

import os
from pathlib import Path

from leaderboard.launch import command


def start() -> None:
    """Turns this process into the app's server; it listens on all addresses, for the public."""
    words = command(Path(__file__).parent / "runs", address="0.0.0.0", port=8501)
    os.execv(words[0], words)


if __name__ == "__main__":
    start()
