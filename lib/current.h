/* The config that keys are created by: the one that the program has loaded, else the one that the environment or the system has. */
#ifndef LIB_CURRENT_H
#define LIB_CURRENT_H

#include "config.h"

/* The settings of a key that is created with this name now. */
void current_settings(const char *key_name, struct settings *settings);

#endif
