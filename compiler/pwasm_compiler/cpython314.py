"""What the compiler knows about CPython 3.14 as built by componentize-py 0.25: every name, number and layout.

None of this is a stable interface, so `tools/check_cpython.py` compares all of it with the actual interpreter, as does
tests/compiler/test_cpython.py; docs/upgrade.md explains how to move to another version. What the runtime shim knows is
in its src/cpython314.h.
"""

from __future__ import annotations

import re
import struct

# --- versions and names -----------------------------------------------------------------------------------------------

VERSION = "3.14"
RELEASE = f"{VERSION}.0"
"""The release given to pip, for environment markers."""
CACHE_TAG = "cpython-314"
"""`sys.implementation.cache_tag`: part of the names of compiled files."""
EXTENSION_SUFFIX = ".cpython-314-wasm32-wasi.so"
"""`sysconfig.get_config_var("EXT_SUFFIX")`: componentize-py finds the shim by it."""
NEW_IN_STANDARD_LIBRARY = frozenset({"annotationlib", "compression"})
"""Modules that Python 3.11, the oldest host for pwasm, does not have."""
REMOVED_FROM_STANDARD_LIBRARY = {
    **dict.fromkeys(("asynchat", "asyncore", "distutils", "imp", "smtpd"), "3.12"),
    **dict.fromkeys(
        (
            "aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "lib2to3", "mailcap", "msilib", "nis",
            "nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib",
        ),
        "3.13",
    ),
}  # fmt: skip
"""Modules that Python 3.11 has, and the version that they were removed in. Source: PEP 594, What's New in 3.12."""

# --- componentize-py --------------------------------------------------------------------------------------------------

LIBRARY = "/python"
"""Where componentize-py puts the standard library in the guest."""
LIBPYTHON = "libpython3.14.so"
"""The name of the CPython library in its component, which exports symbols as "<name>:<symbol>"."""
CONSTRUCT = "_initialize"
"""Export of a library that runs its constructors; called by the component's last module."""
STARTS = (CONSTRUCT, "__wasm_call_ctors")
"""Exports of libraries that are called on startup."""
RELOCATORS = ("pwasm_apply_data_relocs_", "__wasm_apply_data_relocs")
"""Exports that relocate a library's pointers; the shim's is the first (runtime-shim, src/build.c)."""
HEAP_BASE, STACK_LOW, STACK_POINTER = "__heap_base", "__stack_low", "__stack_pointer"
"""Symbols of wasm-ld that the component preserves."""

# --- built-in modules -------------------------------------------------------------------------------------------------

MODULE_INIT = "PyInit_"
MODULE_REGISTER = "PyModuleDef_Init"
"""Called by each `PyInit_…` with the module's definition, which is assigned an index."""
MODULE_DEFINITION = struct.Struct("<12xI4xI")
"""Index and name in a PyModuleDef, after reference count, type and init, with a copy pointer between them. Source:
Include/moduleobject.h."""
BUILT_IN = (
    "_abc", "_ast", "_asyncio", "_bisect", "_blake2", "_codecs", "_codecs_cn", "_codecs_hk", "_codecs_iso2022",
    "_codecs_jp", "_codecs_kr", "_codecs_tw", "_collections", "_contextvars", "_csv", "_datetime", "_decimal",
    "_elementtree", "_functools", "_heapq", "_hmac", "_imp", "_io", "_json", "_locale", "_lsprof", "_md5",
    "_multibytecodec", "_opcode", "_operator", "_pickle", "_queue", "_random", "_sha1", "_sha2", "_sha3", "_signal",
    "_socket", "_sqlite3", "_sre", "_stat", "_statistics", "_string", "_struct", "_suggestions", "_symtable",
    "_sysconfig", "_thread", "_tokenize", "_types", "_typing", "_weakref", "_zoneinfo", "array", "atexit", "binascii",
    "cmath", "errno", "faulthandler", "gc", "itertools", "math", "posix", "pyexpat", "select", "time", "unicodedata",
    "zlib",
)  # fmt: skip
"""The modules that are compiled into CPython as built by componentize-py, and that can be left out."""

ABSENT = {
    # module that this Python does not have: the module in C that is missing, and why it is
    "ssl": ("_ssl", "Envoy terminates TLS"),
    "ctypes": ("_ctypes", "native code cannot be loaded"),
    "mmap": ("mmap", "there are no files"),
    "fcntl": ("fcntl", "there are no file descriptors"),
    "pwd": ("pwd", "there are no users"),
    "grp": ("grp", "there are no groups of users"),
    "resource": ("resource", "a VM does not know what it consumes"),
    "termios": ("termios", "there is no terminal"),
    "tty": ("termios", "there is no terminal"),
    "syslog": ("syslog", "there is only Envoy's log"),
    "bz2": ("_bz2", "this Python is built without it"),
    "lzma": ("_lzma", "this Python is built without it"),
}
"""Those that libraries import without a use for them; each module in C has a stand-in in guest/inside/absent. What else
is missing (`curses`, `readline`, `tkinter`, `_multiprocessing`, what only Windows has) fails to import, as the standard
library and libraries expect."""

# --- modules frozen into CPython -----------------------------------------------------------------------------

FROZEN = struct.Struct("<IIii")
"""`struct _frozen` (Include/cpython/import.h): name, code, its size, whether it is a package."""
FROZEN_TABLES = ("_PyImport_FrozenBootstrap", "_PyImport_FrozenStdlib", "_PyImport_FrozenTest")
"""Pointers to arrays of it, each terminated by a zero entry."""

# --- the compiler -----------------------------------------------------------------------------------------------------

_ERROR, _NULL = -1, 0

COMPILER = {
    # entry point of the compiler, as called by the rest of CPython: what it returns with an exception set
    "PyAST_Check": _ERROR,
    "PyAST_mod2obj": _NULL,
    "PyAST_obj2mod": _NULL,
    "_PyAST_Compile": _NULL,
    "_PyAST_Validate": 0,
    "_PyCompile_AstPreprocess": _ERROR,
    "_PyParser_ASTFromFile": _NULL,
    "_PyParser_ASTFromString": _NULL,
    "_PyParser_InteractiveASTFromFile": _NULL,
    "_PySymtable_Build": _NULL,
    "init_types": _ERROR,
}
COMPILER_CALLBACKS = (r"_PyPegen_\w+", r"ast2obj_\w+", r"\w+_rule")
"""Functions of the parser and of `ast` that are passed as callbacks, and therefore are in the table."""

# --- docstrings in C --------------------------------------------------------------------------------------------------

DOCSTRING = re.compile(rb"\0[A-Za-z_][A-Za-z0-9_.]*\([^\0]*?\)\n--\n\n([^\0]+)")
"""What PyDoc_STRVAR leaves in memory: CPython splits it at "--" (Objects/typeobject.c, find_signature)."""

# --- the stack --------------------------------------------------------------------------------------------------------

STACK_LIMITS = struct.Struct("<III")
STACK_TOP, STACK_SOFT, STACK_HARD = 0x100000, 0x4000, 0x2000
"""`c_stack_top`, `c_stack_soft_limit` and `c_stack_hard_limit` of `_PyThreadStateImpl`, which are adjacent, for a stack
of 1 MiB that ends at `STACK_TOP`. Source: Include/internal/pycore_tstate.h, Python/ceval.c."""

RAISES_RECURSION_ERROR = "Py_EnterRecursiveCall"
RECURSION_CHECKS = (RAISES_RECURSION_ERROR, "_Py_EnterRecursiveCall", "_Py_CheckRecursiveCall")
"""Functions that compare the stack pointer with the limit on behalf of their callers. The second is static in some
builds and inlined in others."""
LARGE_FRAMES = {"_PyEval_EvalFrameDefault": 4096}
"""Functions with an exceptionally large native frame: the bytes of shadow stack they take. What the functions without a
check return when they fail is in `cpython314_calls`."""

CALLED_IN_LOOPS = {
    # functions that loops in C call, and iterators that may never end: what they return with an exception set
    "PyErr_CheckSignals": _ERROR,  # regular expressions, multiplication and division of large ints, int to str, repr
    "PyObject_RichCompare": _NULL,  # keys with equal hashes, lists of lists that are all the same
    "calliter_iternext": _NULL,
    "combinations_next": _NULL,
    "count_next": _NULL,
    "cwr_next": _NULL,
    "cycle_next": _NULL,
    "longrangeiter_next": _NULL,
    "permutations_next": _NULL,
    "product_next": _NULL,
    "rangeiter_next": _NULL,
    "repeat_next": _NULL,
}
"""Iterators that need memory for each item are left out: memory ends first."""
HANDLES_PENDING = "_Py_HandlePending"
"""What the evaluation loop calls while something is pending: `int (PyThreadState *)`, -1 if it has raised."""

# --- the heap: wasi-libc's dlmalloc -----------------------------------------------------------------------------------

PREVIOUS_IN_USE, IN_USE, CHUNK_FLAGS = 1, 2, 7
"""Flag bits in a chunk's second word; the remaining bits are its size."""
CHUNK_HEAD, CHUNK_ALIGNMENT = 8, 16
TREE_CHUNK = 256
"""Free chunks of at least this size are kept in trees, and have two more pairs of links."""

# --- the standard library ---------------------------------------------------------------------------------------------

IMPORTED_AT_START = (
    "__future__",
    "_collections_abc",
    "_py_warnings",
    "_sitebuiltins",
    "_weakrefset",
    "abc",
    "bisect",
    "codecs",
    "codeop",
    "collections/__init__",
    "contextlib",
    "copyreg",
    "encodings/__init__",
    "encodings/aliases",
    "encodings/ascii",
    "encodings/latin_1",
    "encodings/utf_8",
    "enum",
    "functools",
    "genericpath",
    "importlib/__init__",
    "importlib/machinery",
    "io",
    "keyword",
    "linecache",
    "operator",
    "os",
    "posixpath",
    "re/__init__",
    "re/_casefix",
    "re/_compiler",
    "re/_constants",
    "re/_parser",
    "reprlib",
    "site",
    "stat",
    "struct",
    "textwrap",
    "token",
    "tokenize",
    "traceback",
    "types",
    "warnings",
    "weakref",
)
"""Files that are imported when Python and the SDK start, so that they can be compiled ahead. A missing or superfluous
name only costs a little time."""

LAZY: dict[str, tuple[str, ...]] = {
    # module: what its functions, or those of modules it imports, import on first use
    "dataclasses": ("math",),
    "datetime": ("_strptime",),
    "decimal": ("numbers",),
    "email": ("email.parser", "email.message", "email.policy"),
    "hashlib": ("_blake2", "_md5", "_sha1", "_sha2", "_sha3"),
    "importlib": ("importlib.resources._adapters", "importlib.resources.readers"),
    "importlib.resources": ("importlib.resources._adapters", "importlib.resources.readers"),
    "locale": ("_locale",),
    "pprint": ("dataclasses",),
    "random": ("hashlib", "statistics"),
    "reprlib": ("math",),
    "tarfile": ("zlib",),
    "time": ("_strptime",),
    "urllib": ("unicodedata",),
    "urllib.parse": ("unicodedata",),
    "typing": ("annotationlib",),
    "uuid": ("hashlib", "random"),
    "xml.etree.ElementTree": ("pyexpat",),
    "zoneinfo": ("importlib.resources", "tzdata"),
}
"""Source: Lib/, Modules/_datetimemodule.c, Modules/timemodule.c, Modules/_decimal/_decimal.c. `tzdata` is a
distribution, not part of the standard library."""

NOT_FOR_A_VM = frozenset(
    {
        "_ast_unparse", "_pyrepl", "argparse", "difflib", "doctest", "ftplib", "getpass", "grp", "multiprocessing",
        "netrc", "pdb", "pwd", "pydoc", "subprocess", "tkinter", "tracemalloc", "unicodedata", "unittest",
        "webbrowser", "winreg",
    }
)  # fmt: skip
"""Modules that functions of the standard library import for people, terminals, processes and other systems, of which a
VM has none, and those that `LAZY` and `WANTED_BY_TEXT` decide about; the program's own imports are never left out."""
NEVER_CALLED = re.compile(r"_*(?:test|main)(?:_\w*)?|_parse_args|\w+\.__(?:signature|reduce|reduce_ex)__")
"""Functions of the standard library that are run from a shell, or only describe an object."""

ALWAYS_WANTED = (
    "_suggestions",
    "atexit",
    "encodings.ascii",
    "encodings.latin_1",
    "encodings.utf_8",
    "linecache",
    "traceback",
)
"""Imported into every snapshot: used by tracebacks and `weakref.finalize`, and the codecs that network code names as a
matter of course."""

WANTED_BY_TEXT: tuple[tuple[str, tuple[str, ...]], ...] = (
    # regular expression searched in the sources: what CPython imports when a matching source runs
    (r"\bidna\b", ("encodings.idna", "encodings.punycode")),
    (r"\bpunycode\b", ("encodings.punycode",)),
    (r"\buncompress\b", ("zlib",)),  # pwasm.foreign.uncompress
    (r"\bunparse\b", ("_ast_unparse",)),
    # Division of ints of more than 9,000 bits, in longobject.c. Exponents and shifts of up to three digits make none.
    (r"[\w)\]]\s*(?:\*\*|<<)\s*(?!\d{1,3}\b)[\w(]|\b(?:pow|isqrt|comb|perm|factorial)\(", ("_pylong",)),
    (r"\\N\{", ("unicodedata",)),  # in a regular expression
    (r"\bruntime_checkable\b|\bSupports[A-Z]", ("inspect",)),
    (r"\bsingledispatch", ("typing", "annotationlib")),
    (r"(?m)^\s*(?:class|def|async def|type)\s+\w+\s*\[", ("typing", "annotationlib")),
)

COMPILES_TEXT = frozenset(
    {
        "NamedTuple",
        "dataclass",
        "evaluate_forward_ref",
        "get_type_hints",
        "literal_eval",
        "make_dataclass",
        "namedtuple",
    }
)
"""Functions of the standard library that call `eval`, `exec` or `compile` on behalf of their callers."""
MODULES_THAT_COMPILE = frozenset({"code", "codeop", "doctest", "pdb", "runpy", "symtable", "timeit"})
