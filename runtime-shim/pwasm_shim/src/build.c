/* Code that runs only while pwasm builds, and is unreachable in a finished module.

   componentize-py delivers an interpreter that has already started, with a random hash seed and with constructors that
   have drawn random numbers. So the memory is copied at the last moment before any code of a library runs, and pwasm
   itself runs the constructors and starts the interpreter from that copy. That moment is the relocation of the shim's
   own data, which comes last: the build hook exports `pwasm_apply_data_relocs_` under the name of the linker's own
   function. */

#include "shim.h"

enum { PAGE = 65536 };

/* The copy: its address in the snapshot that componentize-py takes, and its size in pages. Both are 0 in the copy. */
__attribute__((visibility("default"))) struct {
  uint32_t address;
  uint32_t pages;
} pwasm_pristine;

EXPORT("pwasm_apply_data_relocs_") void keep_pristine(void) {
  const volatile uint64_t *volatile start = NULL; /* volatile: compilers assume that address 0 is invalid */
  const volatile uint64_t *from = start;
  uint32_t pages = __builtin_wasm_memory_size(0);
  uint32_t copy = __builtin_wasm_memory_grow(0, pages);
  uint64_t *to = (uint64_t *)(uintptr_t)(copy * PAGE);
  if (copy != UINT32_MAX) {
    for (uint32_t word = 0; word < pages * (PAGE / sizeof *to); word++) to[word] = from[word];
    pwasm_pristine.address = copy * PAGE;
    pwasm_pristine.pages = pages;
  }
}

PyObject *PyInit__pwasm_shim(void);

/* Start the interpreter in the pristine memory, after the libraries' constructors; its environment configures it. */
EXPORT("pwasm_initialize") void pwasm_initialize(void) {
  PyImport_AppendInittab("_pwasm_shim", PyInit__pwasm_shim);
  Py_InitializeEx(0);
}

/* Import a module by name: returns 0, or -1 if it raised, with the traceback on standard error. */
EXPORT("pwasm_import") int32_t pwasm_import(const char *name) {
  if (PyImport_ImportModule(name)) return 0;
  PyErr_Print();
  return -1;
}
