/* Replacements for code that was removed from a finished module (pwasm_compiler/link/passes/trim.py).

   Each sets an exception; the linker's stub that calls it then returns the error value of the removed function. */

#include "shim.h"

/* A built-in module that nothing had imported when the memory was frozen. */
EXPORT("pwasm_removed_module") void removed_module(const char *module) {
  PyObject *name = PyUnicode_FromString(module);
  PyObject *message = PyUnicode_FromFormat(
      "No module named '%s': nothing imported it at build, so it was left out; name it in [tool.pwasm] keep", module);
  if (name && message) PyErr_SetImportErrorSubclass(PyExc_ModuleNotFoundError, message, name, NULL);
  if (name) Py_DecRef(name);
  if (message) Py_DecRef(message);
}

/* CPython's compiler. The exception is a SyntaxError, because callers of compile() and ast.parse(), `traceback` among
   them, handle that; and a RuntimeError, because the source text is not to blame. */
EXPORT("pwasm_removed_compiler") void removed_compiler(int32_t unused) {
  static PyObject *type;
  (void)unused;
  if (!type) {
    PyObject *bases = PyTuple_New(2);
    if (!bases) return;
    Py_IncRef(PyExc_SyntaxError);
    Py_IncRef(PyExc_RuntimeError);
    PyTuple_SetItem(bases, 0, PyExc_SyntaxError);
    PyTuple_SetItem(bases, 1, PyExc_RuntimeError);
    type = PyErr_NewException("pwasm.CompilerLeftOutError", bases, NULL);
    Py_DecRef(bases);
  }
  if (type)
    PyErr_SetString(type,
                    "this module has no Python compiler: for eval(), exec(), compile() and namedtuple() at run time,"
                    " write keep = [\"eval\"] in [tool.pwasm]");
}

/* A function that, according to the linker, nothing can call: an exception is better than a dead VM. */
EXPORT("pwasm_removed_function") void removed_function(int32_t unused) {
  (void)unused;
  PyErr_SetString(PyExc_SystemError, "pwasm has left out a function that is needed; report it");
}
