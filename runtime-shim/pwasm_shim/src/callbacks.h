/* The callbacks that streams.c handles. */
#ifndef PWASM_CALLBACKS_H
#define PWASM_CALLBACKS_H

#include "shim.h"

/* streams.c: 1 if it has handled the callback, 0 if the callback is for the Python dispatcher; see there. */
int stream_begins(uint32_t id, uint32_t parent);
int stream_data(int callback, uint32_t id, uint32_t size, uint32_t end_of_stream, PyObject **action);
int stream_done(uint32_t id);
int stream_ends(uint32_t id);
void stream_opens(uint32_t id); /* to be called before a stream's callback is passed to Python */

#endif
