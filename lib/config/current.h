/* The config that keys are created by: the one that the program has loaded, else the one that the environment or the system has. */
#ifndef LIB_CURRENT_H
#define LIB_CURRENT_H

#include "config/config.h"

/* The settings of a key that is created with this name now. */
void current_settings(const char *key_name, struct settings *settings);

/* ks_config_load, when the library has been started. */
ks_status current_load(const char *path, ks_config_error *tell, void *context);

#endif
