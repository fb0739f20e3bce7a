/* The part of CPython's stable ABI that the shim uses, declared here because a host's Python.h is for another
   version and another word size (the guest is CPython 3.14 on wasm32). Source: CPython, Doc/data/stable_abi.dat. */
#ifndef PWASM_PYTHON_ABI_H
#define PWASM_PYTHON_ABI_H

#include <stddef.h>
#include <stdint.h>

typedef struct PyObject PyObject;
typedef ptrdiff_t Py_ssize_t;

typedef PyObject *(*fastcall)(PyObject *self, PyObject *const *args, Py_ssize_t count);

typedef struct {
  const char *name;
  fastcall function;
  int flags;
  const char *doc;
} PyMethodDef;

#define METH_FASTCALL 0x0080
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
extern PyObject *PyExc_TypeError;

PyObject *PyModule_Create2(PyModuleDef *, int);
PyObject *PyLong_FromLong(long);
PyObject *PyLong_FromUnsignedLong(unsigned long);
PyObject *PyLong_FromUnsignedLongLong(unsigned long long);
long PyLong_AsLong(PyObject *);
long long PyLong_AsLongLong(PyObject *);
unsigned long PyLong_AsUnsignedLong(PyObject *);
PyObject *PyBool_FromLong(long);
PyObject *PyBytes_FromStringAndSize(const char *, Py_ssize_t);
int PyBytes_AsStringAndSize(PyObject *, char **, Py_ssize_t *);
const char *PyUnicode_AsUTF8AndSize(PyObject *, Py_ssize_t *);
PyObject *PyUnicode_AsEncodedString(PyObject *, const char *, const char *);
PyObject *PyTuple_New(Py_ssize_t);
int PyTuple_SetItem(PyObject *, Py_ssize_t, PyObject *);
PyObject *PyTuple_GetItem(PyObject *, Py_ssize_t);
Py_ssize_t PyTuple_Size(PyObject *);
PyObject *PyObject_Vectorcall(PyObject *, PyObject *const *, size_t, PyObject *);
int PyObject_IsTrue(PyObject *);
PyObject *PyErr_Occurred(void);
PyObject *PyErr_NewException(const char *, PyObject *, PyObject *);
void PyErr_SetString(PyObject *, const char *);
PyObject *PyErr_SetImportErrorSubclass(PyObject *, PyObject *, PyObject *, PyObject *);
PyObject *PyUnicode_FromString(const char *);
PyObject *PyUnicode_FromFormat(const char *, ...);
PyObject *PyErr_Format(PyObject *, const char *, ...);
void PyErr_Clear(void);
int PyGILState_Ensure(void);
int PyImport_AppendInittab(const char *, PyObject *(*)(void));
PyObject *PyImport_ImportModule(const char *);
void PyErr_Print(void);
void Py_InitializeEx(int);
void Py_IncRef(PyObject *);
void Py_DecRef(PyObject *);

#endif
