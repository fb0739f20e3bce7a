/* What runs only while pwasm builds; nothing of it is reachable in a finished module.

   componentize-py hands out an interpreter that has started, with a hash seed and constructors that drew random
   numbers nobody chose. So the memory is copied at the last moment before any code of a library runs, and pwasm runs
   the constructors and starts the interpreter from that copy itself. The moment is the relocation of the shim's own
   data, the last one: the build hook exports `pwasm_apply_data_relocs_` under the name of the linker's own function. */

#include "shim.h"

enum { PAGE = 65536 };

/* The copy: where it lies in the snapshot that componentize-py takes, and its size in pages. Zeros in the copy. */
__attribute__((visibility("default"))) struct {
  uint32_t address;
  uint32_t pages;
} pwasm_pristine;

EXPORT("pwasm_apply_data_relocs_") void keep_pristine(void) {
  const volatile uint64_t *volatile start = NULL; /* volatile: to a compiler, nothing lies at address 0 */
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

/* Start the interpreter in a pristine memory, after the libraries' constructors; its environment says how. */
EXPORT("pwasm_initialize") void pwasm_initialize(void) {
  PyImport_AppendInittab("_pwasm_shim", PyInit__pwasm_shim);
  Py_InitializeEx(0);
}

/* Import a module by name: 0, or -1 when it raised, and the traceback is on standard error. */
EXPORT("pwasm_import") int32_t pwasm_import(const char *name) {
  if (PyImport_ImportModule(name)) return 0;
  PyErr_Print();
  return -1;
}
