"""What `ctypes` needs of `_ctypes`: types can be declared and measured; nothing can be loaded, created or called."""

from __future__ import annotations

import struct

import pwasm_absent  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_WHY = "native code cannot be loaded"
__version__ = "1.1.0"
RTLD_LOCAL, RTLD_GLOBAL = 0, 256
FUNCFLAG_HRESULT, FUNCFLAG_CDECL, FUNCFLAG_PYTHONAPI, FUNCFLAG_USE_ERRNO, FUNCFLAG_USE_LASTERROR = 2, 1, 4, 8, 16
CTYPES_MAX_ARGCOUNT = 1024
SIZEOF_TIME_T = 8
_memmove_addr, _memset_addr, _string_at_addr, _cast_addr, _wstring_at_addr, _memoryview_at_addr = range(1, 7)
_SAME_AS = {"O": "P", "z": "P", "Z": "P", "X": "P", "v": "h", "u": "i", "F": "ff", "D": "dd", "G": "dd", "g": "d"}
"""Codes of types that `struct` does not have."""


class ArgumentError(Exception):
    """Never raised, but caught."""


class _Type(type):
    """The type of the types: `c_int * 3` is an array."""

    def __mul__(cls, length: int) -> type:
        return _Type(f"{cls.__name__}_Array_{length}", (Array,), {"_type_": cls, "_length_": length})

    __rmul__ = __mul__

    def __init__(cls, _name: str, _bases: tuple[type, ...], body: dict[str, Any]) -> None:
        cls.__ctype_le__ = cls.__ctype_be__ = cls
        if cls.__name__.startswith("LP_") and "_type_" in body:
            body["_type_"].__pointer_type__ = cls

    @property
    def __pointer_type__(cls) -> type:
        """The type of pointers to it, which `ctypes.POINTER` keeps here; it is not inherited."""
        if "_pointer" not in vars(cls):
            raise AttributeError("__pointer_type__")
        found: type = vars(cls)["_pointer"]
        return found

    @__pointer_type__.setter
    def __pointer_type__(cls, kind: type) -> None:
        cls._pointer = kind


class _Data(metaclass=_Type):
    def __new__(cls, *_arguments: object, **_options: object) -> NoReturn:
        raise pwasm_absent.absent(f"ctypes.{cls.__name__}", _WHY)

    @classmethod
    def from_param(cls, value: object) -> object:
        """What a function would be called with."""
        return value


class _SimpleCData(_Data):
    pass


class Structure(_Data):
    pass


class Union(_Data):
    pass


class Array(_Data):
    pass


class _Pointer(_Data):
    pass


class CField:
    pass


class CFuncPtr(metaclass=_Type):
    """A function that can be looked up and declared."""

    restype: object = None
    argtypes: object = None
    errcheck: object = None

    def __init__(self, *_arguments: object) -> None:
        pass

    def __call__(self, *_arguments: object) -> NoReturn:
        raise pwasm_absent.absent(f"ctypes.{getattr(self, '__name__', 'CFuncPtr')}", _WHY)


def dlopen(name: object, _mode: int = 0) -> int:
    """The process itself; no other library can be loaded, as if there were none."""
    if name is not None:
        raise OSError(f"{name}: does not exist in a Wasm module: {_WHY}")
    return 0


def sizeof(kind: Any) -> int:
    """The size of a type."""
    if issubclass(kind, _SimpleCData):
        return struct.calcsize(_SAME_AS.get(kind._type_, kind._type_))
    if issubclass(kind, Array):
        return sizeof(kind._type_) * int(kind._length_)
    raise pwasm_absent.absent(f"ctypes.sizeof({kind.__name__})", _WHY)


def get_errno() -> int:
    """Nothing was ever called."""
    return 0


globals().update(
    pwasm_absent.functions(
        "ctypes",
        "addressof alignment buffer_info byref call_cdeclfunction call_function dlclose dlsym resize set_errno"
        " PyObj_FromPtr Py_INCREF Py_DECREF _unpickle",
        _WHY,
    )
)
