/* Contexts created without calling their class, and callbacks without looking up methods, where the result is known.

   A class that customizes nothing (no `__init__`, no `__del__` …; see `_guest.vm._plan`) creates contexts that differ
   only in two attributes, `context_id` and `plugin`. Such a context can be reused for another stream after the end of
   its own, if nothing else refers to it and it has not got any other state: it is *plain*. And a plain context has no
   attributes that could shadow a method of its class, so methods need to be looked up only once.

   State is detected in the object's memory, where CPython stores the values of an instance inline (cpython314.h). The
   head contains the number of attributes and the capacity, which decreases with each new object. Whatever adds state
   changes one of four words: an attribute changes the head, `vars(context)` the dict, a weak reference its list,
   another `__class__` the type. tests/shim/test_hot_path.py tries each. Objects with slots have no inline values.

   A class that is modified loses its plan for good: the interpreter notifies us (`PyType_Watch`). */

#include "plans.h"

unsigned long PyType_GetFlags(PyObject *type);

static PyObject *helper;
static void (*drop)(void);
static int watcher_id;

/* A VM has one class of HTTP contexts, or several, by root_id; further ones have no plan. Owned, never freed. */
enum { PLANS_MAX = 4 };
static struct plan {
  PyObject *maker, *functions[CALLBACK_COUNT];
  int alike;                /* whether its contexts are alike; otherwise the rest is meaningless */
  int id_word, plugin_word; /* offsets of the two attributes in the object; 0: not known yet */
  uintptr_t head;
} plans[PLANS_MAX];
static int changed; /* a class with a plan was modified: no more plans */

static struct plan *plan_of(PyObject *maker) {
  for (struct plan *plan = plans; plan < plans + PLANS_MAX && plan->maker; plan++)
    if (plan->maker == maker) return plan;
  return NULL;
}

/* Called before the class is modified: spare contexts are freed first, without a `__del__` that is being added. */
static int on_change(PyObject *type) {
  struct plan *plan = plan_of(type);
  if (plan && plan->alike) {
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

/* helper(maker) -> a function or None for each callback, or None if contexts are not all alike. */
static struct plan *make_plan(PyObject *maker) {
  struct plan *plan = plans;
  while (plan < plans + PLANS_MAX && plan->maker) plan++;
  if (plan == plans + PLANS_MAX) return NULL;
  Py_IncRef(plan->maker = maker);
  PyObject *answer = PyObject_Vectorcall(helper, &maker, 1, NULL);
  if (answer && answer != none && PyTuple_Size(answer) == CALLBACK_COUNT && PyType_GetFlags(maker) & INLINE_VALUES &&
      PyType_Watch(watcher_id, maker) == 0 && PyUnstable_Type_AssignVersionTag(maker))
    for (int i = plan->alike = 1; i <= CALLBACK_COUNT; i++) {
      PyObject *function = PyTuple_GetItem(answer, i - 1);
      if (function != none) Py_IncRef(plan->functions[i - 1] = function);
    }
  if (answer) Py_DecRef(answer);
  PyErr_Clear();
  return plan;
}

int has_plan(PyObject *maker) {
  struct plan *plan = plan_of(maker);
  if (!plan && !changed) plan = make_plan(maker);
  return plan && plan->alike && !changed;
}

void note_context(PyObject *context, PyObject *id, PyObject *plugin) {
  PyObject **at = (PyObject **)context;
  struct plan *plan = plan_of(context->type);
  if (!plan || plan->id_word || at[DICT] || at[WEAK_REFERENCES]) return;
  plan->head = (uintptr_t)at[HEAD];
  for (int i = HEAD + 1; i <= HEAD + (int)(plan->head & ROOM); i++) {
    if (at[i] == id) plan->id_word = i;
    if (at[i] == plugin) plan->plugin_word = i;
  }
  if (!plan->plugin_word) plan->id_word = 0;
}

static int is_as_made(const struct plan *plan, PyObject *context) {
  PyObject **at = (PyObject **)context;
  return plan && plan->id_word && !changed && !at[DICT] && !at[WEAK_REFERENCES] &&
         !(((uintptr_t)at[HEAD] ^ plan->head) & ~ROOM) && at[plan->id_word] && at[plan->plugin_word];
}

int is_plain(PyObject *context) { return is_as_made(plan_of(context->type), context); }

PyObject *planned_function(PyObject *context, int callback) {
  struct plan *plan = plan_of(context->type);
  return is_as_made(plan, context) ? plan->functions[callback] : NULL;
}

void give_context(PyObject *context, PyObject *id, PyObject *plugin) {
  struct plan *plan = plan_of(context->type);
  set_word(context, plan->id_word, id);
  set_word(context, plan->plugin_word, plugin);
}

/* make_immutable(type) -> bool: makes `type` immutable, but not its bases, which PyType_Freeze would require.

   The interpreter caches a class attribute in the code only if the type of its value is immutable
   (Python/specialize.c, analyze_descriptor): for `return Action.CONTINUE` it would search two types each time. */
PyObject *make_immutable(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  (void)self;
  unsigned long *flags = (unsigned long *)args[0] + FLAGS_WORD;
  int known = count == 1 && *flags == PyType_GetFlags(args[0]);
  if (known) *flags |= IMMUTABLE_TYPE;
  return PyBool_FromLong(known);
}
