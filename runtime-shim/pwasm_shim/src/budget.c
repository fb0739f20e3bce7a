/* The step budget, which is off unless a filter enables it (sdk/pwasm/_stream/budget.py defines a step). Counting is in
   C because it happens at every call and every jump: a callback in Python would cost several times as much. */

#include "shim.h"

static long long budget, left;
static PyObject *error, *may_interrupt;

void begin_steps(void) { left = budget; }

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
