/* What the shim knows of CPython 3.14 on wasm32 that the stable ABI does not promise: every number and layout, and the
   functions of the unstable one. tools/check_cpython.py compares each number with the interpreter that is there, as
   does tests/compiler/test_cpython.py; docs/upgrade.md says how to move to another. What the compiler knows lies in
   compiler/pwasm_compiler/cpython314.py. */
#ifndef PWASM_CPYTHON_H
#define PWASM_CPYTHON_H

/* Places in objects are counted in words from the start. */

/* Reference counts from here on belong to immortal objects and stay (32-bit CPython counts those from 1.25 times this).
   Source: Include/refcount.h. */
enum { IMMORTAL = 1 << 30 };

/* An instance with values in line (Objects/object_layout.md):

       weak references, dict, two words of the collector | count, type | head, values of the attributes …

   The head says how many attributes there are, and in its first byte for how many there is room. */
enum { WEAK_REFERENCES = -4, DICT = -3, HEAD = 2, ROOM = 0xff };

/* `PyTypeObject.tp_flags`, and flags there: instances are as above; the attributes of the type will not change.
   Source: Include/cpython/object.h, Include/object.h. */
enum { FLAGS_WORD = 21, INLINE_VALUES = 1 << 2, IMMUTABLE_TYPE = 1 << 8 };

struct PyObject;

typedef int (*watcher)(struct PyObject *type);
int PyType_AddWatcher(watcher);
int PyType_Watch(int watcher, struct PyObject *type);
int PyUnstable_Type_AssignVersionTag(struct PyObject *type); /* without one the interpreter tells nobody */
void _Py_Dealloc(struct PyObject *);

#endif
