"""How `./run` sets the workspace up and checks it. Standard library only: nothing is installed yet."""
