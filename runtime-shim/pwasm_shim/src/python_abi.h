/* The part of CPython's stable ABI that the shim uses, declared here because the host's Python.h is for another version
   and another word size. Source: CPython, Doc/data/stable_abi.dat. Everything beyond it is in cpython314.h. */
#ifndef PWASM_PYTHON_ABI_H
#define PWASM_PYTHON_ABI_H

#include <stddef.h>
#include <stdint.h>

#include "cpython314.h"

typedef ptrdiff_t Py_ssize_t;
typedef struct PyObject {
  Py_ssize_t refcount; /* for the interpreter only: meaningless for immortal objects */
  struct PyObject *type;
} PyObject;

typedef PyObject *fastcall_function(PyObject *self, PyObject *const *args, Py_ssize_t count);
typedef PyObject *(*fastcall_with_keywords)(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names);

typedef struct {
  const char *name;
  void *function;
  int flags;
  const char *doc;
} PyMethodDef;

#define METH_KEYWORDS 0x0002
#define METH_FASTCALL 0x0080
#define PY_VECTORCALL_ARGUMENTS_OFFSET ((size_t)1 << (8 * sizeof(size_t) - 1))
#define PYTHON_ABI_VERSION 3

typedef struct {
  Py_ssize_t refcount; /* PyModuleDef_HEAD_INIT on a 32-bit machine */
  void *type;
  void *init;
  Py_ssize_t index;
  PyObject *copy;
  const char *name;
  const char *doc;
  Py_ssize_t size;
  const PyMethodDef *methods;
  void *slots, *traverse, *clear, *free;
} PyModuleDef;

extern PyObject *PyExc_ModuleNotFoundError;
extern PyObject *PyExc_RuntimeError;
extern PyObject *PyExc_SyntaxError;
extern PyObject *PyExc_SystemError;
enum { PY_CONSTANT_NONE, PY_CONSTANT_FALSE, PY_CONSTANT_TRUE, PY_CONSTANT_ZERO = 5 };

extern PyObject *PyExc_TypeError;
extern PyObject PyUnicode_Type;

PyObject *PyModule_Create2(PyModuleDef *, int);
PyObject *PyLong_FromLong(long);
PyObject *PyLong_FromUnsignedLong(unsigned long);
PyObject *PyLong_FromUnsignedLongLong(unsigned long long);
long PyLong_AsLong(PyObject *);
long long PyLong_AsLongLong(PyObject *);
unsigned long PyLong_AsUnsignedLong(PyObject *);
PyObject *PyBool_FromLong(long);
PyObject *Py_GetConstantBorrowed(unsigned);
PyObject *PyBytes_FromStringAndSize(const char *, Py_ssize_t);
int PyBytes_AsStringAndSize(PyObject *, char **, Py_ssize_t *);
const char *PyUnicode_AsUTF8AndSize(PyObject *, Py_ssize_t *);
PyObject *PyUnicode_DecodeUTF8(const char *, Py_ssize_t, const char *);
PyObject *PyUnicode_InternFromString(const char *);
PyObject *PyUnicode_AsEncodedString(PyObject *, const char *, const char *);
PyObject *PyTuple_New(Py_ssize_t);
int PyTuple_SetItem(PyObject *, Py_ssize_t, PyObject *);
PyObject *PyTuple_GetItem(PyObject *, Py_ssize_t);
Py_ssize_t PyTuple_Size(PyObject *);
int PyDict_Contains(PyObject *, PyObject *);
PyObject *PyDict_GetItemWithError(PyObject *, PyObject *);
int PySet_Contains(PyObject *, PyObject *);
PyObject *PyType_GenericAlloc(PyObject *, Py_ssize_t);
PyObject *PyCapsule_New(void *, const char *, void (*)(PyObject *));
void *PyCapsule_GetPointer(PyObject *, const char *);
PyObject *PyCFunction_NewEx(const PyMethodDef *, PyObject *, PyObject *);
PyObject *PyObject_CallNoArgs(PyObject *);
PyObject *PyObject_Vectorcall(PyObject *, PyObject *const *, size_t, PyObject *);
PyObject *PyObject_VectorcallMethod(PyObject *, PyObject *const *, size_t, PyObject *);
PyObject *PyObject_GetAttrString(PyObject *, const char *);
int PyObject_SetAttr(PyObject *, PyObject *, PyObject *);
int PyObject_SetAttrString(PyObject *, const char *, PyObject *);
int PyObject_IsTrue(PyObject *);
PyObject *PyErr_Occurred(void);
PyObject *PyEval_GetFrame(void);
PyObject *PyFrame_GetCode(PyObject *);
void *PyThreadState_Get(void);
PyObject *PyThreadState_GetFrame(void *);
PyObject *PyErr_NewException(const char *, PyObject *, PyObject *);
void PyErr_SetString(PyObject *, const char *);
PyObject *PyErr_SetImportErrorSubclass(PyObject *, PyObject *, PyObject *, PyObject *);
PyObject *PyUnicode_FromString(const char *);
PyObject *PyUnicode_FromFormat(const char *, ...);
PyObject *PyErr_Format(PyObject *, const char *, ...);
void PyErr_SetRaisedException(PyObject *);
PyObject *PyErr_GetRaisedException(void);
void PyErr_Clear(void);
int PyGILState_Ensure(void);
void PyGILState_Release(int);
int PyImport_AppendInittab(const char *, PyObject *(*)(void));
PyObject *PyImport_ImportModule(const char *);
void PyErr_Print(void);
void Py_InitializeEx(int);

/* Inline, as in extensions for the stable ABI before 3.12: on the hot path the calls would be 5 % of a request. */
static inline void Py_IncRef(PyObject *object) {
  if (object->refcount < IMMORTAL) object->refcount++;
}
static inline void Py_DecRef(PyObject *object) {
  if (object->refcount < IMMORTAL && --object->refcount == 0) _Py_Dealloc(object);
}

#endif
