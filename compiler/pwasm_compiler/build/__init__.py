"""From a project to a module: the stages of `pwasm build`, and the other compilers behind it."""
