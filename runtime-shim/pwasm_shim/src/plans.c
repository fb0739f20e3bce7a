/* Contexts without their class: what calling it, and looking methods up in it, would come to every time.

   A class that makes nothing of its own (no `__init__`, no `__del__` …; `_guest._plan` says which) makes contexts that
   differ in two attributes only, `context_id` and `plugin`. Such a context can be given to another stream when its own
   is over, if nobody else has it and it has got no other state since: it is *plain*. And a plain context has no
   attribute that could stand before a method of its class, so the methods can be looked up once.

   State is looked for in the object's memory, as CPython 3.14 lays out an instance with values in line
   (Objects/object_layout.md):

       weak references, dict, two words of the collector | count, type | head, values of the attributes …

   The head says how many attributes there are, and in its first byte for how many there is room: fewer in each new
   object. Whatever adds state changes one of four words: an attribute the head, `vars(context)` the dict, a weak
   reference, another `__class__`. tests/wasm/test_hot_path.py tries each. Objects with slots have no values in line.

   A class that changes loses its plan, and there is no other: the interpreter tells (`PyType_Watch`). */

#include "plans.h"

typedef int (*watcher)(PyObject *type);
unsigned long PyType_GetFlags(PyObject *type);
int PyType_AddWatcher(watcher);
int PyType_Watch(int watcher, PyObject *type);
int PyUnstable_Type_AssignVersionTag(PyObject *type); /* without one the interpreter tells nobody */

enum { WEAK_REFERENCES = -4, DICT = -3, HEAD = 2, ROOM = 0xff, INLINE_VALUES = 1 << 2 };

static PyObject *helper;
static void (*drop)(void);
static int watcher_id;

/* The current plan. `maker` and `functions` are owned; without a maker there is none. */
static PyObject *maker, *functions[CALLBACK_COUNT];
static int alike;                /* whether its contexts are */
static int id_word, plugin_word; /* where the two attributes are, from the start of the object; 0: not known yet */
static uintptr_t head;
static int changed;              /* a class with a plan was changed: no more plans */

static void forget(void) {
  PyObject *old = maker;
  maker = NULL, alike = id_word = plugin_word = 0;
  drop();
  for (int i = 0; i < CALLBACK_COUNT; i++) {
    PyObject *function = functions[i];
    functions[i] = NULL;
    if (function) Py_DecRef(function);
  }
  if (old) Py_DecRef(old);
}

/* Called before the change is made: contexts that are over go as what they were, without a new `__del__`. */
static int on_change(PyObject *type) {
  if (type == maker) {
    changed = 1;
    drop();
  }
  return 0;
}

int start_plans(PyObject *new_helper, void (*new_drop)(void)) {
  Py_IncRef(helper = new_helper);
  drop = new_drop;
  watcher_id = PyType_AddWatcher(on_change);
  return watcher_id >= 0;
}

/* helper(maker) -> a function or None for each callback, or None when contexts are not all alike. */
static int ask(PyObject *new_maker) {
  PyObject *answer = PyObject_Vectorcall(helper, &new_maker, 1, NULL);
  if (answer && answer != none && PyTuple_Size(answer) == CALLBACK_COUNT && PyType_GetFlags(new_maker) & INLINE_VALUES &&
      PyType_Watch(watcher_id, new_maker) == 0 && PyUnstable_Type_AssignVersionTag(new_maker))
    for (int i = alike = 1; i <= CALLBACK_COUNT; i++) {
      PyObject *function = PyTuple_GetItem(answer, i - 1);
      if (function != none) Py_IncRef(functions[i - 1] = function);
    }
  if (answer) Py_DecRef(answer);
  PyErr_Clear();
  return alike;
}

int plan_for(PyObject *new_maker) {
  if (changed) {
    if (maker) forget();
    return 0;
  }
  if (new_maker == maker) return alike;
  forget();
  Py_IncRef(maker = new_maker);
  return ask(new_maker);
}

void note_context(PyObject *context, PyObject *id, PyObject *plugin) {
  PyObject **at = (PyObject **)context;
  if (id_word || at[DICT] || at[WEAK_REFERENCES]) return;
  head = (uintptr_t)at[HEAD];
  for (int i = HEAD + 1; i <= HEAD + (int)(head & ROOM); i++) {
    if (at[i] == id) id_word = i;
    if (at[i] == plugin) plugin_word = i;
  }
  if (!plugin_word) id_word = 0;
}

int is_plain(PyObject *context) {
  PyObject **at = (PyObject **)context;
  return id_word && !changed && context->type == maker && !at[DICT] && !at[WEAK_REFERENCES] &&
         !(((uintptr_t)at[HEAD] ^ head) & ~ROOM) && at[id_word] && at[plugin_word];
}

void give_context(PyObject *context, PyObject *id, PyObject *plugin) {
  set_word(context, id_word, id);
  set_word(context, plugin_word, plugin);
}

PyObject *planned_function(int callback) { return functions[callback]; }

/* `PyTypeObject.tp_flags`, and what PyType_Freeze sets there: the type's attributes will not change. */
enum { FLAGS_WORD = 21, IMMUTABLE_TYPE = 1 << 8 };

/* seal(type) -> bool: `type` is made immutable, but not the classes it comes from, as PyType_Freeze demands.

   Only of a class whose value is of an immutable type does the interpreter remember an attribute in the code
   (Python/specialize.c, analyze_descriptor): for `return Action.CONTINUE` it would search two types each time. */
PyObject *seal(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  (void)self;
  unsigned long *flags = (unsigned long *)args[0] + FLAGS_WORD;
  int known = count == 1 && *flags == PyType_GetFlags(args[0]);
  if (known) *flags |= IMMUTABLE_TYPE;
  return PyBool_FromLong(known);
}
