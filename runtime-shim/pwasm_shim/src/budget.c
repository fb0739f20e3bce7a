/* What a callback may use before it is interrupted: steps of Python, and time (sdk/pwasm/_stream/budget.py). Counting
   is in C because it happens at every call and every jump: a callback in Python would cost several times as much. */

#include "shim.h"

static long long budget, left;
static PyObject *error, *may_interrupt;

static uint64_t time_budget, begun; /* nanoseconds */
static int checks;
static PyObject *time_error;
static const char *own_folder;
static Py_ssize_t own_folder_size;

/* So many checks pass between two looks at the clock: 48 ms in `re`, whose checks are the rarest, 10 us in Python. */
enum { CHECKS = 1024, UNLIMITED = 0x7fffffff };

void begin_steps(void) {
  left = budget;
  checks = time_budget ? CHECKS : UNLIMITED;
  begun = 0;
}

/* set_step_budget(steps: int, error: type, may_interrupt: callable(code) -> bool) -> bool */
PyObject *set_step_budget(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  (void)self;
  if (count != 3) return PyErr_Format(PyExc_TypeError, "set_step_budget takes three arguments");
  budget = PyLong_AsLongLong(args[0]);
  if (PyErr_Occurred()) return NULL;
  error = args[1], may_interrupt = args[2]; /* kept as long as the module exists */
  Py_IncRef(error), Py_IncRef(may_interrupt);
  left = INT64_MAX; /* until the first callback: the build is still running */
  return PyBool_FromLong(1);
}

/* renew_steps() -> bool */
PyObject *renew_steps(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  (void)self, (void)args, (void)count;
  begin_steps();
  return PyBool_FromLong(1);
}

/* count_step(code, …) -> bool: a callback of sys.monitoring, which only checks whether the result is DISABLE. */
PyObject *count_step(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  (void)self;
  if (left > 0 || count < 1) {
    left--;
    return PyBool_FromLong(1);
  }
  PyObject *raises = PyObject_Vectorcall(may_interrupt, args, 1, NULL);
  if (!raises || PyObject_IsTrue(raises) <= 0) return raises;
  Py_DecRef(raises);
  return PyErr_Format(error, "more than %lld steps in one callback", budget);
}

/* set_time_budget(nanoseconds: int, error: type, own: str) -> the thread state's address: `own` is the folder of code
   that is not interrupted.

   The evaluation loop calls `_Py_HandlePending` at each call and jump while any event is pending. A bit that only
   builds without the GIL use is always set from now on, in the snapshot too; all others ignore it, and never clear it.
 */
PyObject *set_time_budget(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  (void)self;
  if (count != 3) return PyErr_Format(PyExc_TypeError, "set_time_budget takes three arguments");
  time_budget = PyLong_AsLongLong(args[0]);
  own_folder = PyUnicode_AsUTF8AndSize(args[2], &own_folder_size);
  if (PyErr_Occurred()) return NULL;
  time_error = args[1];
  Py_IncRef(time_error), Py_IncRef(args[2]);
  checks = UNLIMITED; /* until the first callback */
  uintptr_t *thread_state = PyThreadState_Get();
  thread_state[EVAL_BREAKER] |= EVAL_UNUSED_EVENT;
  return PyLong_FromUnsignedLong((uintptr_t)thread_state);
}

/* Whether the code that runs may be interrupted: not the SDK's, which handles the failure. */
static int in_users_code(void) {
  PyObject *frame = PyEval_GetFrame();
  PyObject *code = frame ? PyFrame_GetCode(frame) : NULL;
  PyObject *file = code ? PyObject_GetAttrString(code, "co_filename") : NULL;
  Py_ssize_t size;
  const char *name = file ? PyUnicode_AsUTF8AndSize(file, &size) : NULL;
  int own = !name || (size >= own_folder_size && !memcmp(name, own_folder, own_folder_size));
  if (code) Py_DecRef(code);
  if (file) Py_DecRef(file);
  if (!name) PyErr_Clear();
  return !own;
}

static int look_at_the_clock(void) {
  uint64_t now = real_time();
  checks = UNLIMITED;
  if (!time_budget || !now) return 0;
  if (!begun) begun = now;
  if (now - begun < time_budget) {
    checks = CHECKS;
    return 0;
  }
  checks = 0; /* again at the next check, so that code which catches every exception cannot continue */
  if (!in_users_code()) return 0;
  PyErr_Format(time_error, "more than %llu ms in one callback", time_budget / 1000000);
  return 1;
}

/* Called first by functions of CPython that loops call (compiler: link/passes/loops.py): 1 if an exception is set. */
EXPORT("pwasm_interrupt") int pwasm_interrupt(void) { return --checks < 0 && look_at_the_clock(); }

/* Called first by `_Py_HandlePending` with its argument: RAISED, NOTHING_PENDING, or the argument if it has to go on.
 */
enum { RAISED = 1, NOTHING_PENDING = 2, ALL_EVENTS = 0xff };

EXPORT("pwasm_pending") uintptr_t pwasm_pending(uintptr_t *thread_state) {
  if (--checks < 0 && look_at_the_clock()) return RAISED;
  return (thread_state[EVAL_BREAKER] & ALL_EVENTS) == EVAL_UNUSED_EVENT ? NOTHING_PENDING : (uintptr_t)thread_state;
}
