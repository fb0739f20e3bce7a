/* What the shim knows of the class that makes a plugin's HTTP contexts; see plans.c. */
#ifndef PWASM_PLANS_H
#define PWASM_PLANS_H

#include "callbacks.h"
#include "records.h"

/* Sets up; `helper` is _guest._plan, `drop` is called when what was made by a plan must go. */
int start_plans(PyObject *helper, void (*drop)(void));

/* Makes `maker`'s plan the current one; 0 when its contexts are made by Python alone. */
int plan_for(PyObject *maker);

/* Notes what a context of the current plan looks like that has its id and plugin and nothing else. */
void note_context(PyObject *context, PyObject *id, PyObject *plugin);

/* Whether a context of the current plan is as it was when it was made, but for the values of its id and plugin. */
int is_plain(PyObject *context);

/* Gives a plain context to another stream. */
void give_context(PyObject *context, PyObject *id, PyObject *plugin);

/* The function that a callback of a plain context is, borrowed; NULL to look it up. */
PyObject *planned_function(int callback);

#endif
