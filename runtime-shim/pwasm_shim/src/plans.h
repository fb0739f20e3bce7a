/* What the shim knows of the class that makes a plugin's HTTP contexts; see plans.c. */
#ifndef PWASM_PLANS_H
#define PWASM_PLANS_H

#include "callbacks.h"
#include "records.h"

/* Sets up; `helper` is _guest.vm._plan, `drop` is called when contexts that are kept for other streams must go. */
int start_plans(PyObject *helper, void (*drop)(void));

/* Whether contexts that this class makes may be plain; 0 when Python alone makes them. */
int has_plan(PyObject *maker);

/* A context that such a class has just made, and that has its id and plugin and nothing else. */
void note_context(PyObject *context, PyObject *id, PyObject *plugin);

/* Whether a context is as it was when it was made, but for the values of its id and plugin. */
int is_plain(PyObject *context);

/* Gives a plain context to another stream. */
void give_context(PyObject *context, PyObject *id, PyObject *plugin);

/* The function that a callback of this context is, borrowed; NULL when it must be looked up. */
PyObject *planned_function(PyObject *context, int callback);

#endif
