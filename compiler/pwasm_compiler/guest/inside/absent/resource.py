"""Stands in for `resource`: it can be imported, and not used."""

import pwasm_absent  # type: ignore[import-not-found]

_WHY = "a VM does not know what it consumes"
_CONSTANTS = """
RLIMIT_AS=9 RLIMIT_CORE=4 RLIMIT_CPU=0 RLIMIT_DATA=2 RLIMIT_FSIZE=1 RLIMIT_MEMLOCK=8 RLIMIT_MSGQUEUE=12
RLIMIT_NICE=13 RLIMIT_NOFILE=7 RLIMIT_NPROC=6 RLIMIT_OFILE=7 RLIMIT_RSS=5 RLIMIT_RTPRIO=14 RLIMIT_RTTIME=15
RLIMIT_SIGPENDING=11 RLIMIT_STACK=3 RLIM_INFINITY=-1 RUSAGE_CHILDREN=-1 RUSAGE_SELF=0 RUSAGE_THREAD=1
"""
globals().update((name, int(value)) for name, _, value in (pair.partition("=") for pair in _CONSTANTS.split()))
globals().update(pwasm_absent.functions("resource", "getpagesize getrlimit getrusage prlimit setrlimit", _WHY))
globals().update(pwasm_absent.types("resource", "struct_rusage", _WHY))
error = OSError
