/* The size class tables that keys have, each once, for ever: descriptors of slabs outlive keys, and statistics read tables. */
#ifndef LIB_TABLES_H
#define LIB_TABLES_H

#include "classes/classes.h"

/* That of keys that choose nothing, and of ks_good_size. */
extern struct classes tables_default;

/* Fills tables_default. Called once, before any key has a table. */
void tables_start(void);

/* The table of a choice without errors, made if no key has had it yet; NULL where the system has no more memory. */
const struct classes *tables_share(const struct class_choice *choice);

#endif
