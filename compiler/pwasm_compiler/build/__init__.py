"""From a project to a module: the stages of `pwasm build`, and the compilers for other languages."""
