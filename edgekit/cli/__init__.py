"""The command line: each command is options → one library call → output."""
