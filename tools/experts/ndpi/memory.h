/*
 * Where nDPI's memory comes from. The library has one set of hooks for the whole process and gives them no context, so
 * each thread says which key it works for.
 *
 * KEYSLAB_NDPI_MEMORY says what else may be wanted: "key" (the default) leaves everything to the reset of the key, "clean"
 * frees everything first, by the library's own clean-up, and "malloc" leaves the hooks alone and frees everything, to
 * compare: a failed expert's memory is lost then.
 */
#ifndef EXPERTS_NDPI_MEMORY_H
#define EXPERTS_NDPI_MEMORY_H

#include <keyslab/netmon.h>
#include <stdbool.h>

#define MEMORY_VARIABLE "KEYSLAB_NDPI_MEMORY"

extern _Thread_local HEXPERTKEY memory_key;

/* Reads the variable and sets the hooks, before the library's first allocation. */
void memory_hook(void);

/* False where the variable has another value. */
bool memory_is_chosen(void);

bool memory_is_cleaned(void);

#endif
