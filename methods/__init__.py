"""Score: one file is one method, the file's name is its name; files starting with _ are shared."""
