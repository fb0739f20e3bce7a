/* The shim's knowledge of the class that creates a plugin's HTTP contexts; see plans.c. */
#ifndef PWASM_PLANS_H
#define PWASM_PLANS_H

#include "callbacks.h"
#include "records.h"

/* Initializes plans; `helper` is _guest.vm._plan, `drop` is called when spare contexts must be freed. */
int start_plans(PyObject *helper, void (*drop)(void));

/* Whether contexts created by this class may be plain; 0 if only Python can create them. */
int has_plan(PyObject *maker);

/* Notes a context that such a class has just created, which has its id and plugin and nothing else. */
void note_context(PyObject *context, PyObject *id, PyObject *plugin);

/* Whether a context is unchanged since its creation, except for the values of its id and plugin. */
int is_plain(PyObject *context);

/* Assigns a plain context to another stream. */
void give_context(PyObject *context, PyObject *id, PyObject *plugin);

/* The function of a callback of this context, borrowed; NULL if it must be looked up. */
PyObject *planned_function(PyObject *context, int callback);

#endif
